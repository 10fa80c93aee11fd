"""Log lines: one line each, whatever stands in them."""

import json
import logging
import sys
from typing import Any

import pytest

from coordinator import logs
from coordinator.logs import JsonFormatter, TextFormatter


def record(message="done", *args, error=None, **extra) -> Any:
    result = logging.LogRecord("test", logging.INFO, "f.py", 1, message, args, error)
    result.created, result.msecs = 1_700_000_000.0, 42.0
    for name, value in extra.items():
        setattr(result, name, value)
    return result


def text(*args, **extra) -> Any:
    return TextFormatter().format(record(*args, **extra))


def test_a_line_says_when_how_bad_and_what():
    assert text("took %s", "long") == "2023-11-14T22:13:20.042Z info took long"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "x"', '"say \\"x\\""'),
        ("a\nb", '"a\\nb"'),
        ("a\r\tb", '"a\\r\\tb"'),
        (3, "3"),
        (0.25, "0.25"),
        (None, "null"),
        (True, "true"),
        (["a b", 1], '["a b", 1]'),
    ],
)
def test_values_are_quoted_where_they_must_be(value, shown):
    assert text(key=value).endswith(f" info done key={shown}")


@pytest.mark.parametrize("attack", ["a\n2023-01-01T00:00:00.000Z error forged", "a\rb", "a\r\nb"])
def test_nobody_can_add_a_line_of_his_own(attack):
    for line in (text(attack), text("%s", attack), text(key=attack), text(key=[attack])):
        assert len(line.splitlines()) == 1


@pytest.mark.parametrize("attack", ["\x1b[2J", "a\x0bb", "a\x85b", "a\u2028b", "\x00"])
def test_other_control_characters_do_not_reach_a_terminal(attack):
    for line in (text(attack), text(key=attack)):
        assert line.isprintable()


def failure() -> Any:
    try:
        int("boom")
    except ValueError:
        return sys.exc_info()


def test_an_unexpected_error_has_its_traceback_below():
    first, *rest = text(error=failure(), key="x").splitlines()
    assert first.endswith("info done key=x")
    assert rest[-1].startswith("ValueError: ")


def test_as_json_a_line_is_one_object():
    line = JsonFormatter().format(record("took\n%s", "long", engine="ns/a", count=3))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2023-11-14T22:13:20.042Z",
        "level": "info",
        "logger": "test",
        "message": "took\nlong",
        "engine": "ns/a",
        "count": 3,
    }


def test_as_json_an_error_and_odd_values_stay_on_the_line():
    line = JsonFormatter().format(record(error=failure(), odd=object))
    assert "\n" not in line
    content = json.loads(line)
    assert "ValueError: " in content["exception"]
    assert content["odd"] == "<class 'object'>"


def test_kopfs_bookkeeping_is_not_shown():
    assert text(k8s_skip=True, k8s_ref={}, settings=1).endswith("info done")


@pytest.fixture
def logging_as_before():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    libraries = {
        name: logging.getLogger(name).level
        for name in ("kopf", "asyncio", "aiohttp", "kubernetes", "grpc")
    }
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, known in libraries.items():
        logging.getLogger(name).setLevel(known)


@pytest.mark.parametrize(("log_format", "start"), [("text", "2"), ("json", "{")])
@pytest.mark.usefixtures("logging_as_before")
def test_lines_go_to_standard_error_in_the_chosen_format(capsys, log_format, start):
    logs.configure(log_format=log_format, level="warning")
    logging.getLogger("coordinator.x").info("hidden")
    logging.getLogger("coordinator.x").warning("shown")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert lines[0].startswith(start)


@pytest.mark.parametrize(("level", "effective"), [("debug", "WARNING"), ("error", "ERROR")])
@pytest.mark.usefixtures("logging_as_before")
def test_libraries_speak_up_for_warnings_only(level, effective):
    logs.configure(log_format="text", level=level)
    assert logging.getLevelName(logging.getLogger("kopf").getEffectiveLevel()) == effective
