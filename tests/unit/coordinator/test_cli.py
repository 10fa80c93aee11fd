"""Options and environment to settings; what is wrong is told in one sentence."""

import pytest

from coordinator.cli import complain, parse
from coordinator.errors import StartupError
from coordinator.settings import Address, Settings, parse_address


def test_without_options_the_defaults_of_the_settings_hold():
    assert parse([], {}) == Settings()


OPTIONS = {
    "kubeconfig": ("--kubeconfig=/k", "KUBECONFIG", "/k", {"kubeconfig": "/k"}),
    "http": ("--http-address=:1", "HTTP_ADDRESS", ":1", {"http": Address("0.0.0.0", 1)}),
    "agents": (
        "--agents-address=[::1]:2",
        "AGENTS_ADDRESS",
        "[::1]:2",
        {"agents": Address("::1", 2)},
    ),
    "no agents": ("--no-agents", "NO_AGENTS", "true", {"agents": None}),
    "interval": (
        "--report-interval=2.5",
        "REPORT_INTERVAL",
        "2.5",
        {"report_interval_seconds": 2.5},
    ),
    "domain": ("--cluster-domain=c.d", "CLUSTER_DOMAIN", "c.d", {"cluster_domain": "c.d"}),
    "gateway": ("--gateway-image=a:1", "GATEWAY_IMAGE", "a:1", {"gateway_image": "a:1"}),
    "no gateway": ("--gateway-image=", "GATEWAY_IMAGE", "", {"gateway_image": ""}),
    "pull secrets": (
        "--gateway-pull-secrets=a,b.c",
        "GATEWAY_PULL_SECRETS",
        "a,b.c",
        {"gateway_pull_secrets": ("a", "b.c")},
    ),
    "workers": ("--workers=3", "WORKERS", "3", {"workers": 3}),
    "format": ("--log-format=json", "LOG_FORMAT", "json", {"log_format": "json"}),
    "level": ("--log-level=debug", "LOG_LEVEL", "debug", {"log_level": "debug"}),
}


@pytest.mark.parametrize(("option", "name", "value", "field"), OPTIONS.values(), ids=OPTIONS)
def test_each_option_can_be_given_both_ways(option, name, value, field):
    assert parse([option], {}) == Settings(**field)
    assert parse([], {f"LMCACHE_OPERATOR_{name}": value}) == Settings(**field)


def test_an_option_wins_over_the_environment():
    settings = parse(["--workers=3"], {"LMCACHE_OPERATOR_WORKERS": "5"})
    assert settings.workers == 3


@pytest.mark.parametrize("value", ["0", "false", "no", ""])
def test_a_switch_can_be_off_in_the_environment(value):
    assert parse([], {"LMCACHE_OPERATOR_NO_AGENTS": value}).agents is not None


@pytest.mark.parametrize("value", ["y", "tru"])
def test_a_switch_that_is_neither_on_nor_off_is_refused(value):
    with pytest.raises(StartupError):
        assert parse([], {"LMCACHE_OPERATOR_NO_AGENTS": value}).agents is None


BAD = {
    "address without port": (["--http-address", "host"], "--http-address 'host'"),
    "address with a word": (["--http-address", "h:http"], "--http-address 'h:http'"),
    "port too large": (["--agents-address", "h:65536"], "--agents-address 'h:65536'"),
    "no address": (["--http-address", ""], "--http-address ''"),
    "workers of words": (["--workers", "many"], "--workers 'many' is not a whole number"),
    "no workers": (["--workers", "0"], "--workers 0 is out of range"),
    "too many workers": (["--workers", "65"], "--workers 65 is out of range"),
    "interval too short": (["--report-interval", "0.5"], "--report-interval 0.5 is out of range"),
    "interval too long": (["--report-interval", "301"], "--report-interval 301 is out of range"),
    "interval not a number": (["--report-interval", "nan"], "--report-interval nan is out of"),
    "domain with a dot at its end": (["--cluster-domain", "c.local."], "--cluster-domain"),
    "domain in capitals": (["--cluster-domain", "Cluster.Local"], "--cluster-domain"),
    "image with a space": (["--gateway-image", "a b"], "--gateway-image 'a b'"),
    "pull secret with a space": (
        ["--gateway-pull-secrets", "a, b"],
        "--gateway-pull-secrets ' b'",
    ),
    "empty domain": (["--cluster-domain", ""], "--cluster-domain ''"),
}


@pytest.mark.parametrize(("arguments", "start"), BAD.values(), ids=BAD)
def test_a_bad_value_is_told_in_one_sentence(arguments, start):
    with pytest.raises(StartupError) as raised:
        parse(arguments, {})
    sentence = str(raised.value)
    assert sentence.startswith(start)
    assert sentence.endswith(".")
    assert "\n" not in sentence


@pytest.mark.parametrize(
    "arguments",
    [["--workers", "nan"], ["--workers", "inf"], ["--http-address", "h:²"]],
    ids=["nan", "inf", "superscript"],
)
def test_numbers_that_are_none_are_told_in_one_sentence(arguments):
    with pytest.raises(StartupError):
        parse(arguments, {})


def test_a_fraction_of_a_worker_is_refused():
    with pytest.raises(StartupError):
        parse(["--workers", "2.9"], {})


def test_a_bad_value_in_the_environment_is_told_by_its_variable():
    with pytest.raises(StartupError, match="LMCACHE_OPERATOR_LOG_LEVEL='loud' is not one of debug"):
        parse([], {"LMCACHE_OPERATOR_LOG_LEVEL": "loud"})


@pytest.mark.parametrize("arguments", [["--log-level=loud"], ["--nothing"], ["word"]])
def test_unknown_options_end_with_the_usage(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        parse(arguments, {})
    assert raised.value.code == 2
    assert "usage: lmcache-coordinator" in capsys.readouterr().err


def test_help_names_every_option_and_the_environment(capsys):
    with pytest.raises(SystemExit) as raised:
        parse(["--help"], {"LMCACHE_OPERATOR_HELP": "1"})
    assert raised.value.code == 0
    text = capsys.readouterr().out
    for option, *_ in OPTIONS.values():
        assert option.partition("=")[0] in text
    assert "LMCACHE_OPERATOR_HTTP_ADDRESS" in text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("1.2.3.4:80", Address("1.2.3.4", 80)),
        (":0", Address("0.0.0.0", 0)),
        ("[::1]:80", Address("::1", 80)),
    ],
)
def test_addresses_read_as_they_are_written(text, address):
    assert parse_address("--x", text) == address


@pytest.mark.parametrize("address", [Address("1.2.3.4", 80), Address("::1", 80)])
def test_an_address_survives_being_written(address):
    assert parse_address("--x", str(address)) == address


def test_a_complaint_is_one_line(capsys):
    complain("It does\n  not work.")
    assert capsys.readouterr().err == "lmcache-coordinator: It does not work.\n"
