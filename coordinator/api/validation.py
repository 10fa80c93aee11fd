"""From the spec as the API server gives it to a typed spec, or to sentences about it.

Whatever the CRD refuses is refused here too: an object may be older than the CRD's rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from coordinator.api.advice import advice_for
from coordinator.api.base import LABEL_NAME_PATTERN, OBJECT_NAME_PATTERN
from coordinator.api.problem import Problem, SpecInvalid
from coordinator.api.rules import Subject, name_problems, problems_of
from coordinator.api.spec import EngineSpec

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydantic_core import ErrorDetails

__all__ = ["Problem", "SpecInvalid", "parse", "problems", "warnings"]

_TYPES = {
    "bool_type": "must be true or false",
    "dict_type": "must be a mapping",
    "finite_number": "must be a finite number",
    "float_type": "must be a number",
    "int_type": "must be a whole number",
    "model_type": "must be a mapping",
    "model_attributes_type": "must be a mapping",
    "string_type": "must be a string",
    "tuple_type": "must be a list",
}
_BOUNDS = {
    "greater_than": ("must be greater than", "gt"),
    "greater_than_equal": ("must be at least", "ge"),
    "less_than": ("must be less than", "lt"),
    "less_than_equal": ("must be at most", "le"),
}
_PATTERNS = {
    OBJECT_NAME_PATTERN: "must hold only lower-case letters, digits, '-' and '.'",
    LABEL_NAME_PATTERN: "must hold only lower-case letters, digits and '-'",
}


def parse(spec: Mapping[str, Any]) -> EngineSpec:
    """Return the typed spec, with all defaults.

    Only the shape is judged here; `problems` judges the whole.

    Raises:
        SpecInvalid: a field is missing, unknown, of the wrong type or out of bounds.

    """
    try:
        return EngineSpec.model_validate(spec)
    except ValidationError as error:
        raise SpecInvalid(_shape_problems(error)) from error


def problems(name: str, namespace: str, spec: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return everything that keeps the engine from being run; none if it can be."""
    try:
        subject = Subject(name=name, namespace=namespace, spec=parse(spec))
    except SpecInvalid as error:
        return (*name_problems(name), *error.problems)
    return (*name_problems(name), *problems_of(subject))


def warnings(name: str, namespace: str, spec: Mapping[str, Any]) -> tuple[Problem, ...]:
    """Return what runs, but hardly as expected; nothing for a spec that cannot be parsed."""
    try:
        subject = Subject(name=name, namespace=namespace, spec=parse(spec))
    except SpecInvalid:
        return ()
    return advice_for(subject)


def _shape_problems(error: ValidationError) -> tuple[Problem, ...]:
    """Return one problem for each field; the branches of a union fail one by one."""
    sentences: dict[str, list[str]] = {}
    for details in error.errors(include_url=False):
        sentences.setdefault(_field(details), []).append(_sentence(details))
    return tuple(
        Problem(field, " or ".join([first, *(each.removeprefix("must be ") for each in rest)]))
        for field, (first, *rest) in sentences.items()
    )


def _field(details: ErrorDetails) -> str:
    field = "spec"
    for part in details["loc"]:
        if part not in ("int", "str"):  # the branches of a union, never a field of ours
            field += f"[{part}]" if isinstance(part, int) else f".{part}"
    return field


def _sentence(details: ErrorDetails) -> str:
    kind, context, value = details["type"], details.get("ctx", {}), details["input"]
    if kind == "missing":
        return "is required"
    if kind == "extra_forbidden":
        return "is not a field of this API; check its spelling and place, or remove it"
    if kind in _TYPES:
        return _TYPES[kind]
    if kind in _BOUNDS:
        words, key = _BOUNDS[kind]
        return f"{words} {context[key]:g}, not {value:g}"
    if kind == "literal_error":
        return f"must be {context['expected']}, not {value!r}"
    if kind == "string_too_short":
        least = context["min_length"]
        return "must not be empty" if least == 1 else f"must have at least {least} characters"
    if kind == "string_too_long":
        return f"must have at most {context['max_length']} characters"
    if kind == "too_long":
        return f"must have at most {context['max_length']} entries"
    if kind == "string_pattern_mismatch":
        pattern = context["pattern"]
        return _PATTERNS.get(pattern, f"must match {pattern}")
    return details["msg"]
