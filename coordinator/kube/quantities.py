"""Kubernetes quantities ("65Gi", "500m", 8) as exact numbers."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from kubernetes.utils.quantity import parse_quantity as _parse


def parse_quantity(value: Any) -> Decimal:
    """Return the number behind a quantity in its base unit (bytes, cores).

    Raises ValueError for what is no quantity.
    """
    return Decimal(_parse(value))  # type: ignore[no-untyped-call]
