"""An upgrade of the operator changes the gateway of no engine that runs already."""

import copy
from typing import Any

import pytest

from coordinator.api.engine import Engine
from coordinator.api.validation import parse
from coordinator.reconcile.gateways import with_gateway
from coordinator.render.daemonset import daemon_set
from coordinator.render.facts import Facts

OLD = Facts(gateway_image="agent:1", gateway_pull_secrets=("a", "b"))
NEW = Facts(gateway_image="agent:2", cluster_domain="c.d")
NONE = Facts()


def engine(generation: int = 1, **spec: Any) -> Engine:
    return Engine("ns", "e", "uid", generation, parse({"l1": {"sizeGB": 2}, **spec}))


def live(facts: Facts, of: Engine | None = None) -> Any:
    return copy.deepcopy(daemon_set(of or engine(), facts))


def gateway_of(facts: Facts) -> tuple[str, tuple[str, ...]]:
    return facts.gateway_image, facts.gateway_pull_secrets


def test_a_new_engine_gets_the_gateway_of_the_setting():
    assert with_gateway(NEW, engine(), None) == NEW


@pytest.mark.parametrize(
    ("running", "setting"),
    [(OLD, NEW), (OLD, NONE), (NONE, NEW)],
    ids=["another image", "switched off", "switched on"],
)
def test_an_engine_that_runs_keeps_its_gateway(running, setting):
    kept = with_gateway(setting, engine(), live(running))
    assert gateway_of(kept) == gateway_of(running)
    assert kept.cluster_domain == setting.cluster_domain
    assert daemon_set(engine(), kept) == daemon_set(engine(), running)


@pytest.mark.parametrize(
    ("running", "setting"), [(OLD, NEW), (OLD, NONE), (NONE, NEW)], ids=["image", "off", "on"]
)
def test_a_spec_that_changes_the_pods_brings_the_new_gateway(running, setting):
    changed = engine(2, logLevel="DEBUG")
    assert with_gateway(setting, changed, live(running)) == setting


@pytest.mark.parametrize(
    "spec",
    [
        {"prometheus": {"serviceMonitor": {"interval": "15s"}}},
        {"updateStrategy": {"type": "OnDelete"}},
    ],
    ids=["scrape interval", "update strategy"],
)
def test_a_spec_that_the_pods_do_not_see_restarts_none(spec):
    changed = engine(2, **spec)
    kept = with_gateway(NEW, changed, live(OLD))
    assert gateway_of(kept) == gateway_of(OLD)
    # What the server fills in is no change.
    filled = live(OLD)
    filled["spec"]["template"]["spec"]["restartPolicy"] = "Always"
    assert gateway_of(with_gateway(NEW, changed, filled)) == gateway_of(OLD)


def test_an_image_that_somebody_else_has_put_there_is_not_kept():
    tampered = live(OLD)
    tampered["spec"]["template"]["spec"]["containers"][1]["image"] = "other:1"
    assert gateway_of(with_gateway(NEW, engine(), tampered)) == gateway_of(OLD)


def test_a_webhook_that_rewrites_images_does_not_bring_the_new_one():
    mirrored = live(OLD)
    for container in mirrored["spec"]["template"]["spec"]["containers"]:
        container["image"] = f"mirror.example.com/{container['image']}"
    assert gateway_of(with_gateway(NEW, engine(), mirrored)) == gateway_of(OLD)


def test_a_daemon_set_of_another_operator_or_engine_has_no_say():
    foreign = live(OLD)
    del foreign["metadata"]["annotations"]
    assert with_gateway(NEW, engine(), foreign) == NEW
    earlier = live(OLD)
    earlier["metadata"]["ownerReferences"][0]["uid"] = "earlier"
    assert with_gateway(NEW, engine(), earlier) == NEW
