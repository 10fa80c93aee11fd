"""Where the driver's announcements arrive: logged, remembered, and looked into at once."""

import logging
import time
from collections.abc import Callable

from nodeagent.nvml.model import Event
from nodeagent.xid_log import XidLog

_LOG = logging.getLogger(__name__)


class EventDesk:
    """Takes events from the NVML client's reader thread; never blocks it for long."""

    def __init__(self, xid_log: XidLog, *, wall_clock: Callable[[], float] = time.time) -> None:
        self._xid_log = xid_log
        self._wall_clock = wall_clock
        self._on_change: Callable[[], None] = lambda: None

    def on_change(self, callback: Callable[[], None]) -> None:
        """Set who looks at the GPUs after an event."""
        self._on_change = callback

    def take(self, event: Event) -> None:
        """Take one event."""
        _LOG.warning(
            "the driver announced an event",
            extra={"kind": event.kind, "uuid": event.uuid, "data": event.data},
        )
        if event.kind == "xid" and event.uuid:
            self._xid_log.add(event.uuid, event.data, now=self._wall_clock())
        self._on_change()
