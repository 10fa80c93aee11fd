"""Engines to render."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from coordinator.api.engine import Engine
from coordinator.api.validation import parse, problems

MakeEngine = Callable[..., Engine]


@pytest.fixture
def make_engine() -> MakeEngine:
    """Return a builder of valid engines: `make_engine(hostNetwork=True)`; L1 is 60 GiB."""

    def make(
        *, name: str = "my-cache", namespace: str = "default", size: float = 60, **spec: Any
    ) -> Engine:
        fields = {"l1": {"sizeGB": size}, **spec}
        assert problems(name, namespace, fields) == ()
        return Engine(namespace, name, "5ee0c1f6-uid", 3, parse(fields))

    return make


@pytest.fixture
def container() -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Return a reader of the cache server's container in a DaemonSet."""

    def read(daemon_set: dict[str, Any]) -> dict[str, Any]:
        (only,) = daemon_set["spec"]["template"]["spec"]["containers"]
        return dict(only)

    return read
