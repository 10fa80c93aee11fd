"""What the server is started with."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any, NoReturn

import pytest
import yaml

from coordinator.render.args import arguments, number

TABLE = yaml.safe_load((Path(__file__).parent / "server_flags.yaml").read_text())
RELEASES: list[str] = TABLE["releases"]
TYPES = {"int": int, "float": float, "str": str}

RESP = {"host": "redis", "port": 6379}
ENCRYPTED = {"aesgcm": {"masterKeySecretRef": {"name": "key"}}}
COORDINATOR = {"url": "http://c:9300", "eventReporting": True, "advertiseIP": "10.0.0.1"}
HUGEPAGES = {
    "l1": {"sizeGB": 8, "useHugepages": True},
    "resourceOverrides": {"limits": {"hugepages-2Mi": "8Gi"}},
}


class Refused(Exception):
    pass


class Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise Refused(message)


def parser_of(release: str) -> Parser:
    """Return a parser with the flags that the server of a release has."""
    parser = Parser(allow_abbrev=False)
    for flag, facts in TABLE["flags"].items():
        if number_of(facts.get("since", "0")) > number_of(release):
            continue
        if facts["type"] == "switch":
            parser.add_argument(flag, action="store_true")
            continue
        choices = [
            values
            for since, values in facts.get("choices", {}).items()
            if number_of(since) <= number_of(release)
        ]
        parser.add_argument(
            flag, type=TYPES[facts["type"]], choices=choices[-1] if choices else None
        )
    return parser


def number_of(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in str(release).split("."))


def flags(args: tuple[str, ...]) -> list[str]:
    return [argument for argument in args if argument.startswith("--")]


SPECS: dict[str, dict[str, Any]] = {
    "minimal": {},
    "all sizes": {"l1": {"sizeGB": 0.05, "initSizeGB": 1}},
    "metrics off": {"prometheus": {"enabled": False}},
    "no eviction": {"eviction": {"policy": "noop"}},
    "eviction IsolatedLRU": {"eviction": {"policy": "IsolatedLRU"}},
    "eviction ARC": {"eviction": {"policy": "ARC"}},
    "isolated": {"isolatedIPC": True},
    "huge pages": HUGEPAGES,
    "redis": {"l2Backend": {"resp": RESP, "storePolicy": "skip_l1"}},
    "redis, retaining": {"l2Backend": {"resp": RESP, "prefetchPolicy": "retain"}},
    "fleet coordinator": {"coordinator": COORDINATOR},
    "fleet coordinator, few settings": {"coordinator": {"url": "http://c:9300"}},
}


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("spec", SPECS.values(), ids=SPECS)
def test_each_release_takes_the_arguments_or_the_spec_is_named_as_too_new(
    make_engine, release, spec
):
    found = arguments(make_engine(server={"release": release}, **spec).spec)
    try:
        parser_of(release).parse_args(found.args)
    except Refused:
        assert found.unsupported
    else:
        assert not found.unsupported


@pytest.mark.parametrize(("release", "is_named"), [("0.5.2", True), ("0.5.3", False)])
def test_encryption_that_a_release_would_leave_out_is_named(make_engine, release, is_named):
    spec = {"l2Backend": {"resp": RESP, "serde": ENCRYPTED}, "server": {"release": release}}
    found = arguments(make_engine(**spec).spec)
    assert [problem.field for problem in found.unsupported] == (
        ["spec.l2Backend.serde"] if is_named else []
    )


def test_a_setting_that_is_too_new_is_named_with_both_releases(make_engine):
    engine = make_engine(isolatedIPC=True, image={"tag": "v0.5.4"})
    (problem,) = arguments(engine.spec).unsupported
    assert problem.field == "spec.isolatedIPC"
    assert "0.5.5 or newer" in problem.message
    assert "is 0.5.4" in problem.message


@pytest.mark.parametrize(
    ("spec", "opens_port", "field"),
    [
        ({}, False, None),
        ({"image": {"tag": "latest-cu129"}}, False, None),
        ({"image": {"tag": "nightly-2026-11-01"}}, False, None),
        ({"image": {"tag": "v0.5.6"}}, False, None),
        ({"image": {"tag": "v0.5.6-cu129"}}, False, None),
        ({"image": {"tag": "0.5.6.post1"}}, False, None),
        ({"image": {"tag": "v0.5"}}, False, None),
        ({"image": {"tag": "v0.4"}}, False, None),
        ({"image": {"tag": "v0.4.4post2"}}, True, None),
        ({"image": {"tag": "v0.4.5"}}, False, None),
        ({"image": {"tag": "v0.4.40"}}, False, None),
        ({"image": {"tag": "v0.4.2"}}, True, "spec.image.tag"),
        ({"image": {"repository": "lmcache/standalone", "tag": "v0.1.0"}}, True, "spec.image.tag"),
        ({"image": {"tag": "v0.5.7"}}, False, "spec.image.tag"),
        ({"image": {"tag": "v1.0.0"}}, False, "spec.image.tag"),
        ({"image": {"tag": "0.4.3.2"}}, False, "spec.image"),
        ({"image": {"tag": "main"}}, False, "spec.image"),
        ({"image": {"repository": "mirror/LMCache/server", "tag": "v0.4.3"}}, True, None),
        ({"image": {"repository": "vllm/vllm-openai", "tag": "v0.4.3"}}, False, "spec.image"),
        ({"image": {"repository": "r/lmcache@sha256", "tag": "0" * 64}}, False, "spec.image"),
        ({"image": {"tag": "main"}, "server": {"release": "v0.4.3"}}, True, None),
        ({"server": {"release": "0.3.15"}}, True, "spec.server.release"),
        ({"server": {"release": "0.9"}}, False, "spec.server.release"),
        ({"server": {"release": "0.5.6.1"}}, False, "spec.server.release"),
    ],
)
def test_the_release_comes_from_the_spec_then_from_a_tag_of_lmcache(
    make_engine, spec, opens_port, field
):
    found = arguments(make_engine(**spec).spec)
    assert ("--prometheus-port" in found.args) is opens_port
    assert [note.field for note in found.notes] == ([field] if field else [])
    for note in found.notes:
        assert "flags" in note.message


@pytest.mark.parametrize("release", RELEASES)
@pytest.mark.parametrize("enabled", [True, False])
def test_no_release_is_ever_given_the_flag_that_ends_it(make_engine, release, enabled):
    spec = make_engine(server={"release": release}, prometheus={"enabled": enabled}).spec
    assert "--disable-prometheus" not in arguments(spec).args
    assert ("--disable-metrics" in arguments(spec).args) is not enabled


def test_the_order_of_the_arguments_is_fixed(make_engine):
    engine = make_engine(
        isolatedIPC=True,
        l1={"sizeGB": 60, "initSizeGB": 8, "useHugepages": True},
        resourceOverrides=HUGEPAGES["resourceOverrides"],
        l2Backend={"resp": RESP},
        coordinator=COORDINATOR,
        extraArgs=["--chunk-size=1024", "--host-memory"],
        server={"release": "0.5.6"},
    )
    assert flags(arguments(engine.spec).args) == [
        "--host",
        "--port",
        "--http-host",
        "--http-port",
        "--isolated-ipc",
        "--l1-size-gb",
        "--l1-init-size-gb",
        "--l1-use-hugepages",
        "--chunk-size",
        "--max-workers",
        "--hash-algorithm",
        "--eviction-policy",
        "--eviction-trigger-watermark",
        "--eviction-ratio",
        "--l2-adapter",
        "--l2-store-policy",
        "--l2-prefetch-policy",
        "--l2-prefetch-max-in-flight",
        "--coordinator-url",
        "--coordinator-advertise-ip",
        "--coordinator-heartbeat-interval",
        "--coordinator-event-reporting",
        "--coordinator-event-flush-interval",
        "--chunk-size=1024",
        "--host-memory",
    ]


def test_the_admin_api_stays_on_loopback(make_engine):
    args = arguments(make_engine(hostNetwork=True).spec).args
    assert args[args.index("--http-host") + 1] == "127.0.0.1"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (60, "60"),
        (60.0, "60"),
        (0.05, "0.05"),
        (0.04, "0.04"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1536.25, "1536.25"),
        (65536, "65536"),
        (1e-05, "1e-05"),
    ],
)
def test_numbers_reach_the_server_without_loss(value, text):
    assert number(value) == text
    assert float(number(value)) == value


@pytest.mark.parametrize(("size", "text"), [(0.5, "1"), (8, "8"), (8.2, "9")])
def test_the_initial_size_is_whole_because_the_server_takes_no_other(make_engine, size, text):
    args = arguments(make_engine(l1={"sizeGB": 60, "initSizeGB": size}).spec).args
    assert args[args.index("--l1-init-size-gb") + 1] == text


def test_a_raw_adapter_is_passed_as_written(make_engine):
    config = {"mock_bandwidth_gb": 1.5, "max_size_gb": 2, "deep": {"b": [1, None], "a": "ü"}}
    engine = make_engine(l2Backend={"raw": {"type": "mock", "config": config}})
    args = arguments(engine.spec).args
    text = args[args.index("--l2-adapter") + 1]
    assert json.loads(text) == {"type": "mock", **config}
    assert text.isascii()


def test_no_argument_names_the_credential(make_engine):
    reference = {"name": "redis-auth", "namespace": "redis"}
    engine = make_engine(l2Backend={"resp": {**RESP, "authSecretRef": reference}})
    assert not any(
        "auth" in argument or "password" in argument for argument in arguments(engine.spec).args
    )
