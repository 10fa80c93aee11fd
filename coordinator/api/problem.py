"""What is wrong with a spec, in sentences."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to change: the field as a path from the object's root, and what about it.

    The message is a sentence without its full stop, whose subject is the field; `str` is the whole
    sentence.
    """

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}."


class SpecInvalid(ValueError):
    """The spec cannot be run as it is; the user has to change it, a retry does not help."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__(" ".join(str(problem) for problem in problems))
        self.problems = problems
