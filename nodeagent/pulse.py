"""The pulse: one cheap question to every GPU each second, so that a lost GPU is seen at once."""

import logging
import threading
from collections.abc import Callable

from nodeagent.nvml.client import NvmlClient
from nodeagent.nvml.model import Failure

_LOG = logging.getLogger(__name__)


class Pulse:
    """Calls `on_trouble` when the answer to the pulse has changed, and not for good."""

    def __init__(
        self, nvml: NvmlClient, *, interval: float, on_trouble: Callable[[], None]
    ) -> None:
        self._nvml = nvml
        self._interval = interval
        self._on_trouble = on_trouble
        self._stopped = threading.Event()
        self._last: tuple[int, ...] | Failure | None = None
        self._thread = threading.Thread(target=self._run, name="nvml-pulse", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread after the question under way."""
        self._stopped.set()

    def beat(self) -> None:
        """Ask once."""
        answer = self._nvml.pulse()
        if answer is None:
            return
        # A recovery waits for the full rounds, which is what it is held by anyway.
        is_trouble = isinstance(answer, Failure) or any(answer)
        before, self._last = self._last, answer
        count_changed = (
            isinstance(before, tuple) and isinstance(answer, tuple) and len(before) != len(answer)
        )
        if count_changed or (is_trouble and answer != before):
            self._on_trouble()

    def _run(self) -> None:
        while not self._stopped.wait(self._interval):
            try:
                self.beat()
            except Exception:  # noqa: BLE001 (outermost loop: the next beat must come)
                _LOG.exception("the pulse failed")
