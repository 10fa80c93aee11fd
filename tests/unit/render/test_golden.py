"""Whole renders, kept as text: what an engine becomes is reviewed by reading it.

A case is a folder below golden/ with engine.yaml and expected.yaml, and facts.yaml where the facts
are not the usual ones. Each sample of deploy/samples is a case too, without an engine of its own.
`UPDATE_GOLDEN=1 pytest tests/unit/render` writes the expectations anew.
"""

from __future__ import annotations

import functools
import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
import referencing
import yaml
from jsonschema.validators import Draft202012Validator  # type: ignore[import-untyped]

from coordinator.api.engine import Engine
from coordinator.api.v1alpha1 import API_VERSION, KIND
from coordinator.api.validation import parse, problems
from coordinator.render import render
from coordinator.render.facts import Facts
from coordinator.render.manifest import Manifest
from coordinator.render.secret import credential_copy

GOLDEN = Path(__file__).parent / "golden"
SAMPLES = Path(__file__).parents[3] / "deploy" / "samples"

UID = "3f0c2b1e-7d34-4f6e-9a55-0d6c1c2b7a10"
KUBERNETES = ("v1.29", "v1.36", "v1.37")


def documents(path: Path) -> list[dict[str, Any]]:
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def engine_files() -> dict[str, Path]:
    """Return the file of each case's engine, by the name of the case."""
    files = {f"sample-{path.stem}": path for path in SAMPLES.glob("*.yaml")}
    files |= {path.parent.name: path for path in GOLDEN.glob("*/engine.yaml")}
    return {
        name: path
        for name, path in sorted(files.items())
        if any(document["kind"] == KIND for document in documents(path))
    }


ENGINES = engine_files()


def engine_of(case: str) -> Engine:
    (manifest,) = (item for item in documents(ENGINES[case]) if item["kind"] == KIND)
    assert manifest["apiVersion"] == API_VERSION
    name, namespace = manifest["metadata"]["name"], manifest["metadata"].get("namespace", "default")
    assert problems(name, namespace, manifest["spec"]) == ()
    return Engine(namespace, name, UID, 1, parse(manifest["spec"]))


def facts_of(case: str) -> Facts:
    path = GOLDEN / case / "facts.yaml"
    given = yaml.safe_load(path.read_text()) if path.exists() else {}
    return Facts(**{"service_monitor_supported": True, **given})


class Dumper(yaml.SafeDumper):
    """Safe YAML for readers: no anchors, and texts of several lines as they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def text(self, data: str) -> yaml.ScalarNode:
        return self.represent_scalar("tag:yaml.org,2002:str", data, "|" if "\n" in data else None)


Dumper.add_representer(str, Dumper.text)


def text_of(manifests: tuple[Manifest, ...]) -> str:
    return yaml.dump_all(manifests, Dumper=Dumper, sort_keys=False, width=100)


@functools.cache
def validator(kubernetes: str, kind: str, api_version: str) -> Draft202012Validator:
    """Return the strict schema that kubernetes_validate ships, read once (30 ms each time else)."""
    root = resources.files("kubernetes_validate") / "kubernetes-json-schema"
    (folder,) = (
        entry
        for entry in root.iterdir()
        if entry.name.startswith(f"{kubernetes}.") and entry.name.endswith("-strict")
    )
    group = "-".join(
        part.partition(".")[0] if "." in part else part for part in api_version.split("/")
    )
    read = [
        referencing.Resource.from_contents(json.loads((folder / name).read_text()))
        for name in (f"{kind.lower()}-{group}.json", "_definitions.json")
    ]
    registry: referencing.Registry[Any] = referencing.Registry()
    for resource in read:
        registry = resource @ registry
    return Draft202012Validator(read[0].contents, registry=registry)


def schema_errors(manifest: Manifest, kubernetes: str) -> list[str]:
    schema = validator(kubernetes, manifest["kind"], manifest["apiVersion"])
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(manifest)]


@pytest.mark.parametrize("case", ENGINES)
def test_render_is_as_expected(case):
    text = text_of(render(engine_of(case), facts_of(case)))
    expected = GOLDEN / case / "expected.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        expected.parent.mkdir(exist_ok=True)
        expected.write_text(text)
    assert text == expected.read_text()


@pytest.mark.parametrize("kubernetes", KUBERNETES)
@pytest.mark.parametrize("case", ENGINES)
def test_every_manifest_fits_kubernetes_strictly(case, kubernetes):
    for manifest in render(engine_of(case), facts_of(case)):
        if manifest["kind"] != "ServiceMonitor":  # not a type of Kubernetes'
            assert schema_errors(manifest, kubernetes) == []


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_the_schemas_refuse_a_field_that_does_not_exist(kubernetes):
    daemon_set = render(engine_of("sample-minimal"), Facts())[3]
    daemon_set["spec"]["template"]["spec"]["hostIpc"] = True
    assert schema_errors(daemon_set, kubernetes)


def test_the_secret_copy_fits_kubernetes_strictly():
    copy = credential_copy(engine_of("sample-redis-auth"), password=b"p", username=b"u")
    assert schema_errors(copy, "v1.36") == []


@pytest.mark.parametrize("path", sorted(SAMPLES.glob("*.yaml")), ids=lambda path: path.stem)
def test_samples_begin_with_a_sentence_and_fit_kubernetes(path):
    assert path.read_text().startswith("# ")
    for document in documents(path):
        if document["kind"] != KIND:
            assert schema_errors(document, "v1.36") == []


def test_no_case_is_left_without_its_engine():
    assert {path.parent.name for path in GOLDEN.glob("*/expected.yaml")} == set(ENGINES)
