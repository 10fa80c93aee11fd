"""The engines' cache: fed by two sources, told about once."""

from typing import Any

import pytest

from coordinator.kube.resources import ObjectKey
from coordinator.reconcile.engines import EngineCache

KEY = ObjectKey("ns", "a")


def engine(name="a", version="1", **metadata) -> Any:
    return {"metadata": {"namespace": "ns", "name": name, "resourceVersion": version, **metadata}}


@pytest.fixture
def woken():
    return []


@pytest.fixture
def cache(woken):
    return EngineCache(on_change=woken.append)


def test_a_new_engine_and_each_newer_version_wake(cache, woken):
    cache.put(engine(version="9"))
    cache.put(engine(version="10"))
    assert woken == [KEY, KEY]
    assert cache.get(KEY)["metadata"]["resourceVersion"] == "10"


@pytest.mark.parametrize("version", ["9", "10"], ids=["older", "the same"])
def test_what_is_known_already_wakes_nobody(cache, woken, version):
    cache.put(engine(version="10"))
    woken.clear()
    cache.put(engine(version=version))
    assert woken == []
    assert cache.get(KEY)["metadata"]["resourceVersion"] == "10"


def test_an_answer_to_our_own_write_wakes_nobody_nor_does_its_event(cache, woken):
    cache.put(engine(version="1"))
    woken.clear()
    cache.note(engine(version="2"))
    cache.put(engine(version="2"))
    assert woken == []


def test_a_deletion_wakes_once(cache, woken):
    cache.put(engine())
    woken.clear()
    cache.drop(KEY)
    cache.drop(KEY)
    assert woken == [KEY]
    assert cache.get(KEY) is None
    assert len(cache) == 0


def test_a_list_shows_what_was_deleted_while_nobody_watched(cache, woken):
    cache.put(engine("a"))
    cache.put(engine("b"))
    woken.clear()
    cache.replace_all([engine("b"), engine("c")], version="100")
    assert woken == [ObjectKey("ns", "c"), KEY]
    assert sorted(cache.all()) == [ObjectKey("ns", "b"), ObjectKey("ns", "c")]


def test_who_owns_which_field_is_not_kept(cache):
    cache.put(engine(managedFields=[{"manager": "kubectl"}]))
    assert "managedFields" not in cache.get(KEY)["metadata"]


def test_an_answer_about_an_engine_deleted_meanwhile_does_not_bring_it_back(cache):
    cache.put(engine(version="1"))
    cache.drop(KEY)
    cache.note(engine(version="2"))
    assert cache.get(KEY) is None
