"""Settings: flags, environment, and a sentence for what is wrong."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from nodeagent import cli
from nodeagent.errors import SettingsInvalid
from nodeagent.settings import Settings, add_arguments, settings

MINIMUM = ("--node-name=a", "--coordinator=127.0.0.1:9", "--insecure")


def chosen(*words: str, environment: dict[str, str] | None = None) -> Settings:
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    return settings(parser.parse_args(words), environment or {})


def test_the_least_that_works() -> None:
    assert chosen(*MINIMUM) == Settings("a", "127.0.0.1:9", insecure=True)


def test_the_environment_speaks_where_no_flag_does() -> None:
    environment = {
        "NODE_NAME": "from-environment",
        "LMCACHE_NODE_AGENT_COORDINATOR": "coordinator.lmcache:50051",
        "LMCACHE_NODE_AGENT_CA_FILE": "/ca.crt",
        "LMCACHE_NODE_AGENT_ROUND_INTERVAL": "7",
    }
    found = chosen("--round-interval=5", environment=environment)
    assert found.node_name == "from-environment"
    assert found.ca_file == Path("/ca.crt")
    assert found.round_interval == 5


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["--coordinator=127.0.0.1:9", "--insecure"], "--node-name"),
        (["--node-name=a"], "--coordinator is needed"),
        ([*MINIMUM, "--coordinator=nowhere"], "--coordinator"),
        ([*MINIMUM, "--coordinator=10.0.0.1:9"], "--insecure: 10.0.0.1:9 is not on this machine"),
        ([*MINIMUM, "--coordinator=cache.default:9"], "--insecure"),
        ([*MINIMUM, "--round-interval=0"], "--round-interval"),
        ([*MINIMUM, "--round-interval=nan"], "--round-interval"),
        ([*MINIMUM, "--recovery-rounds=0"], "--recovery-rounds"),
        ([*MINIMUM, "--listen=9479"], "--listen"),
        ([*MINIMUM, "--listen=:99999"], "--listen"),
        ([*MINIMUM, "--host-root=host"], "--host-root"),
        ([*MINIMUM, "--host-root=/does/not/exist"], "is not a directory"),
        ([*MINIMUM, "--insecure=perhaps"], "--insecure"),
        ([*MINIMUM, "--log-level=loud"], "--log-level"),
    ],
)
def test_what_is_wrong_is_named(words: list[str], named: str) -> None:
    with pytest.raises(SettingsInvalid, match=named.replace("[", r"\[")):
        chosen(*words)


@pytest.mark.parametrize("target", ["127.8.8.8:1", "[::1]:1", "localhost:1", "unix:/run/x"])
def test_this_machine_may_be_insecure(target: str) -> None:
    assert chosen(*MINIMUM, f"--coordinator={target}").insecure


def test_the_program_ends_with_2_and_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["--node-name=a"]) == 2
    sentence = capsys.readouterr().err
    assert sentence.startswith("lmcache-node-agent: --coordinator is needed")
    assert sentence.count("\n") == 1
