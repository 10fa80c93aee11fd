"""The agent's errors. Each answers: does retrying help, and what must change first.

AgentError
├── SettingsInvalid      the command line or environment must change; the process ends with 2
├── HostReadError        one fact about the host could not be had
│   ├── Absent           it is not there (a process that ended, a feature the kernel lacks)
│   ├── Denied           the agent lacks a privilege; `capability` names it
│   └── Unreadable       it is there and makes no sense, or the read failed
└── ReportRefused        the coordinator answered with an error; the reporter retries
"""


class AgentError(Exception):
    """Base of all errors that the agent raises itself."""


class SettingsInvalid(AgentError):
    """A setting is missing or wrong; the message names it and says what is accepted."""


class HostReadError(AgentError):
    """A file of the host could not be read; the message names the file and the cause."""


class Absent(HostReadError):
    """The file does not exist (any more)."""


class Denied(HostReadError):
    """The kernel refused the read; `capability` is what the agent would need."""

    def __init__(self, message: str, *, capability: str) -> None:
        super().__init__(message)
        self.capability = capability


class Unreadable(HostReadError):
    """The read failed for another reason, or its content is not what the kernel documents."""


class ReportRefused(AgentError):
    """A report did not arrive; the message carries the status code and what it means.

    `cause` is a word of a small fixed set, for the metric.
    """

    def __init__(self, message: str, *, cause: str = "refused") -> None:
        super().__init__(message)
        self.cause = cause
