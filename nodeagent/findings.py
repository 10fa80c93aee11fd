"""What the agent finds: values only, no knowledge of how they are found, held, sent or shown."""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field


class Outcome(enum.Enum):
    """The five answers to a check. *Cannot tell* is unknown: never a failure, never a pass."""

    PASS = "pass"  # noqa: S105 (an outcome, not a password)
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"
    NOT_APPLICABLE = "n/a"

    @property
    def severity(self) -> int:
        """Order of urgency: 0 needs nobody, 3 needs somebody now."""
        return _SEVERITY[self]


_SEVERITY = {
    Outcome.PASS: 0,
    Outcome.NOT_APPLICABLE: 0,
    Outcome.UNKNOWN: 1,
    Outcome.WARN: 2,
    Outcome.FAIL: 3,
}


class SubjectKind(enum.Enum):
    """What a finding is about."""

    NODE = "node"
    GPU = "gpu"
    ENGINE = "engine"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Subject:
    """One thing on this node: `identifier` is a GPU's UUID, an engine's or a pod's UID."""

    kind: SubjectKind
    identifier: str = ""


NODE = Subject(SubjectKind.NODE)


def gpu(identifier: str) -> Subject:
    """Return the GPU with this UUID (or PCI bus id, where no UUID can be read)."""
    return Subject(SubjectKind.GPU, identifier)


def engine(uid: str) -> Subject:
    """Return the engine with this UID."""
    return Subject(SubjectKind.ENGINE, uid)


def client(pod_uid: str) -> Subject:
    """Return the client that runs in the pod with this UID."""
    return Subject(SubjectKind.CLIENT, pod_uid)


@dataclass(frozen=True, slots=True)
class Finding:
    """One answer to one check about one subject.

    `message` says what was seen, with its numbers; `remedy` what mends it; `evidence` holds the
    measured terms; `since` is when the outcome became what it is (seconds since the epoch, 0 until
    the holding has seen it).
    """

    check: str
    subject: Subject
    outcome: Outcome
    reason: str
    message: str
    remedy: str = ""
    evidence: Mapping[str, str] = field(default_factory=dict)
    since: float = 0.0

    @property
    def key(self) -> tuple[str, Subject]:
        """What stays the same while outcome and reason change."""
        return (self.check, self.subject)
