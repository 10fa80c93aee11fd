"""A process under the fake library, seen from the test: send expressions, get values or codes."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 60  # how long an answer may take before the test is given up, not a pace
DRIVER = Path(__file__).with_name("driver.py")


def eventually(condition: Callable[[], bool]) -> None:
    """Come back when the condition holds: for what another process does in its own time."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


@dataclass(frozen=True, slots=True)
class Code:
    """The return code that a call ended with, where a value was asked for."""

    value: int


class Child:
    """One interpreter with pynvml, for the life of a test."""

    def __init__(self, environment: dict[str, str], stderr: Path) -> None:
        self._stderr = stderr
        with stderr.open("wb") as sink:
            self._process = subprocess.Popen(
                [sys.executable, "-W", "error", str(DRIVER)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=sink,
                env=os.environ | environment,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def complaints(self) -> list[str]:
        return self._stderr.read_text().splitlines()

    def send(self, expression: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(expression.replace("\n", " ").encode() + b"\n")
        self._process.stdin.flush()

    def answered(self) -> bool:
        return self._readable(0)

    def _readable(self, seconds: float) -> bool:
        assert self._process.stdout is not None
        return bool(select.select([self._process.stdout], [], [], seconds)[0])

    def receive(self) -> Any:
        assert self._process.stdout is not None
        if not self._readable(PATIENCE_SECONDS):
            raise TimeoutError(f"no answer within {PATIENCE_SECONDS} s")
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the child ended: {self._process.wait()}, {self.complaints}")
        reply = json.loads(line)
        if "error" in reply:
            raise AssertionError(reply["error"])
        return Code(reply["code"]) if "code" in reply else reply["value"]

    def ask(self, expression: str) -> Any:
        self.send(expression)
        return self.receive()

    def kill(self) -> int:
        self._process.kill()
        return self._process.wait()

    def close(self) -> None:
        self.kill()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                stream.close()
