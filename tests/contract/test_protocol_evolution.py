"""The protocol only ever grows: what the last release could read, the next one still says.

The baseline is the protocol of the last release (until there is one: of the first landing). At a
release, write it anew with `python tests/contract/test_protocol_evolution.py`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from lmcache_nodehealth.v1 import nodehealth_pb2 as pb

BASELINE = Path(__file__).parent / "protocol-baseline.json"


def _messages(descriptors: Any) -> dict[str, Descriptor]:
    found: dict[str, Descriptor] = {}
    for descriptor in descriptors:
        found[descriptor.full_name] = descriptor
        found |= _messages(descriptor.nested_types)
    return found


def protocol() -> dict[str, Any]:
    """Return what another version depends on: numbers, types and cardinalities, enum values."""
    file = pb.DESCRIPTOR
    return {
        "messages": {
            name: {
                field.name: {
                    "number": field.number,
                    "type": field.type,
                    "repeated": field.is_repeated,
                    "presence": field.has_presence,
                    "of": getattr(field.message_type or field.enum_type, "full_name", ""),
                }
                for field in descriptor.fields
            }
            for name, descriptor in sorted(_messages(file.message_types_by_name.values()).items())
        },
        "enums": {
            name: {value.name: value.number for value in enum.values}
            for name, enum in sorted(file.enum_types_by_name.items())
        },
        "methods": {
            f"{service.name}.{method.name}": [
                method.input_type.full_name,
                method.output_type.full_name,
            ]
            for service in file.services_by_name.values()
            for method in service.methods
        },
    }


def breaks(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Name everything of `before` that is gone or different; what is new is no break."""
    found = []
    for section, names in before.items():
        for name, content in names.items():
            now = after[section].get(name)
            if not isinstance(content, dict) or now is None:
                if now != content:
                    found.append(name)
                continue
            found += [f"{name}.{key}" for key, value in content.items() if now.get(key) != value]
    return found


def test_nothing_that_the_last_release_knows_has_changed() -> None:
    assert breaks(json.loads(BASELINE.read_text()), json.loads(json.dumps(protocol()))) == []


@pytest.mark.parametrize(
    ("change", "named"),
    [
        pytest.param(lambda p: p["messages"]["lmcache_nodehealth.v1.Gpu"].pop("uuid"),
                     ["lmcache_nodehealth.v1.Gpu.uuid"], id="removed-field"),
        pytest.param(lambda p: p["messages"]["lmcache_nodehealth.v1.Gpu"]["uuid"].update(number=99),
                     ["lmcache_nodehealth.v1.Gpu.uuid"], id="renumbered-field"),
        pytest.param(lambda p: p["enums"]["Outcome"].update(OUTCOME_FAIL=9),
                     ["Outcome.OUTCOME_FAIL"], id="renumbered-value"),
        pytest.param(lambda p: p["methods"].clear(), ["NodeHealthService.Report"], id="no-method"),
        pytest.param(lambda p: p["messages"]["lmcache_nodehealth.v1.Gpu"].update(new={"number": 9}),
                     [], id="new-field"),
    ],
)  # fmt: skip
def test_a_break_is_noticed_and_an_addition_is_none(change: Any, named: list[str]) -> None:
    before, after = protocol(), protocol()
    change(after)
    assert breaks(before, after) == named


if __name__ == "__main__":
    BASELINE.write_text(json.dumps(protocol(), indent=1) + "\n")
