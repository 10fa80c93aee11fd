"""What a check and a reason are."""

from collections.abc import Mapping
from dataclasses import dataclass

from nodeagent.findings import Finding, Outcome, Subject, SubjectKind


@dataclass(frozen=True, slots=True)
class Reason:
    """One answer to a check: its outcome, what it means, and what mends it.

    `remedy` may hold placeholders in the manner of str.format.
    """

    name: str
    outcome: Outcome
    meaning: str
    remedy: str = ""


# The agent's own trouble, possible in every check. It is unknown by nature.
PROBE_TIMEOUT = Reason(
    "ProbeTimeout",
    Outcome.UNKNOWN,
    "A read of the host did not return in time, so this check has no answer now.",
    "Look at the agent's log and at the node's load; the check answers again by itself.",
)
PROBE_FAILED = Reason(
    "ProbeFailed",
    Outcome.UNKNOWN,
    "The agent itself failed at this check; its log has the traceback.",
    "Report the traceback from the agent's log.",
)
PERMISSION_DENIED = Reason(
    "PermissionDenied",
    Outcome.UNKNOWN,
    "The agent lacks the privilege that this check needs.",
    "Give the node agent's container {capability} (see the comments in its DaemonSet).",
)
HOST_UNREADABLE = Reason(
    "HostUnreadable",
    Outcome.UNKNOWN,
    "A file of the host that this check needs is missing or makes no sense.",
    "Compare the volumes of the node agent's DaemonSet with the shipped one.",
)
GENERAL = (PROBE_TIMEOUT, PROBE_FAILED, PERMISSION_DENIED, HOST_UNREADABLE)


@dataclass(frozen=True, slots=True)
class Check:
    """A question that the agent asks about each subject of one kind."""

    name: str
    subject: SubjectKind
    question: str
    reasons: tuple[Reason, ...]

    def finding(
        self,
        reason: Reason,
        subject: Subject,
        message: str,
        *,
        evidence: Mapping[str, str] | None = None,
        **remedy: object,
    ) -> Finding:
        """Return a finding; `remedy` fills the placeholders of the reason's remedy.

        Raises:
            ValueError: the reason is not one of this check's, or a placeholder has no value.

        """
        if reason not in self.reasons and reason not in GENERAL:
            raise ValueError(f"{reason.name} is not a reason of the check {self.name}")
        try:
            mended_by = reason.remedy.format_map(remedy)
        except KeyError as error:
            raise ValueError(f"the remedy of {reason.name} needs {error.args[0]}") from error
        return Finding(
            check=self.name,
            subject=subject,
            outcome=reason.outcome,
            reason=reason.name,
            message=message,
            remedy=mended_by,
            evidence=dict(evidence or {}),
        )
