"""Generated files are what their generators make today."""

from __future__ import annotations

from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from coordinator.api import crd
from hack import generate, reference

REPOSITORY = Path(__file__).resolve().parents[2]


def test_the_protobuf_code_is_fresh(tmp_path: Path) -> None:
    assert generate.proto(tmp_path) == 0
    folder = Path("lmcache_nodehealth/v1")
    made = sorted(path.name for path in (tmp_path / folder).iterdir())
    assert made
    for name in made:
        committed = REPOSITORY / "proto" / folder / name
        assert committed.read_bytes() == (tmp_path / folder / name).read_bytes(), (
            f"{committed} is stale: run `make generate`"
        )


def test_the_crd_is_fresh() -> None:
    assert crd.FILE.read_text() == crd.to_yaml(), "run `make manifests`"


@pytest.mark.parametrize("page", sorted(reference.PAGES))
def test_the_reference_pages_are_fresh(page: str) -> None:
    committed = (REPOSITORY / "docs/reference" / page).read_text()
    assert committed == reference.PAGES[page](), "run `make docs`"


def test_the_top_level_names_are_this_distributions() -> None:
    """`coordinator` is a common word: nothing else that is installed may shadow it."""
    owners = packages_distributions()
    for name in ("coordinator", "nodeagent", "lmcache_nodehealth"):
        assert set(owners.get(name, ["lmcache-operator"])) == {"lmcache-operator"}
