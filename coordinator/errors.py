"""The errors of the coordinator: each class answers what must change before a retry helps.

CoordinatorError
├── StartupError          the process cannot run: one sentence for a person, exit code 1
└── ApiError              the API server answered, or did not
    ├── ApiUnavailable    waiting helps: time-out, connection lost, 429, 5xx
    ├── NotFound          404
    ├── ApiConflict       409: read again, then decide again
    ├── Forbidden         403: the operator's role lacks something
    │   └── NamespaceTerminating   nothing can be created there any more: stop
    ├── Invalid           422 or 400: the object itself is refused
    └── Gone              410: the watch must start again from a list
"""

from __future__ import annotations


class CoordinatorError(Exception):
    """Base of all errors that the coordinator raises on purpose."""


class StartupError(CoordinatorError):
    """The process cannot start; the message is one sentence that says what to do."""


class ApiError(CoordinatorError):
    """A request to the API server failed.

    `message` is the server's own sentence. Bodies of requests are never part of it: they may hold
    secrets.
    """

    def __init__(self, message: str, *, status: int = 0, reason: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason


class ApiUnavailable(ApiError):
    """The server is away, slow or overloaded; the same request may succeed later."""

    def __init__(
        self, message: str, *, status: int = 0, reason: str = "", retry_after: float | None = None
    ) -> None:
        super().__init__(message, status=status, reason=reason)
        self.retry_after = retry_after


class NotFound(ApiError):
    """The object, or its resource, does not exist."""


class ApiConflict(ApiError):
    """Somebody else changed or made the object first."""


class Forbidden(ApiError):
    """The operator's ServiceAccount may not do this."""


class NamespaceTerminating(Forbidden):
    """The namespace is being deleted and accepts no new objects."""


class Invalid(ApiError):
    """The server refuses the object as it is."""


class Gone(ApiError):
    """The resource version is too old to watch from."""
