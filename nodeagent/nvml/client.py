"""The parent's side of NVML: a deadline on every request, and never a second stuck child.

NVML can hang, can crash, and remembers a bad start for as long as its process lives. So a child
that does not answer is killed; one that cannot even be killed (it sleeps inside the kernel) is
waited for, however long that takes, because each further child would get stuck beside it; and
after a failure of the driver as a whole the next reading gets a new one.
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from nodeagent.nvml import codes, decoding, library
from nodeagent.nvml.model import RECOVERY_BY_RESET, Event, Failure, FailureKind, Reading
from nodeagent.nvml.process import ChildDied, ChildProcess, NoAnswer

_FIRST_BACK_OFF = 1.0
_LONGEST_BACK_OFF = 30.0


class Child(Protocol):
    """What the client needs of a child process."""

    def request(self, operation: str, *, deadline: float) -> dict[str, Any]:
        """Ask and return the answer's frame."""

    def last_call(self) -> tuple[str, int | None]:
        """Return the call that the child was in."""

    def stop(self) -> bool:
        """Kill it; tell whether it is gone."""

    def is_reaped(self) -> bool:
        """Tell whether it is gone."""


Spawn = Callable[[Callable[[Mapping[str, Any]], None]], Child]


def _spawn(on_event: Callable[[Mapping[str, Any]], None]) -> Child:
    return ChildProcess(on_event=on_event)


class NvmlClient:
    """NVML for the rest of the agent; safe to use from several threads."""

    def __init__(
        self,
        *,
        deadline: float,
        on_event: Callable[[Event], None] = lambda _: None,
        spawn: Spawn = _spawn,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._deadline = deadline
        self._on_event = on_event
        self._spawn = spawn
        self._clock = clock
        self._lock = threading.Lock()
        self._child: Child | None = None
        self._unreaped: Child | None = None
        self._failure: Failure | None = None
        self._back_off = 0.0
        self._not_before = 0.0
        self.timeouts = 0
        self.starts = 0

    def read(self) -> Reading | Failure:
        """Return a complete reading of all GPUs."""
        with self._lock:
            answer = self._ask("read")
            if isinstance(answer, Failure):
                return answer
            try:
                reading = decoding.reading(answer)
            except ValueError as error:
                return self._failed(Failure(FailureKind.DIED, detail=str(error)))
            if _wants_new_process(reading):
                self._drop_child()
            return reading

    def pulse(self) -> tuple[int, ...] | Failure | None:
        """Return one code per GPU from the cheapest question.

        None while a reading is going on, and while no child runs: a pulse never starts one.
        """
        if not self._lock.acquire(blocking=False):
            return None
        try:
            if self._child is None:
                return None
            answer = self._ask("pulse")
            return answer if isinstance(answer, Failure) else tuple(answer["codes"])
        finally:
            self._lock.release()

    def release(self) -> None:
        """Let go of the driver until the next reading."""
        with self._lock:
            self._drop_child()

    def _ask(self, operation: str) -> dict[str, Any] | Failure:
        child = self._child or self._start()
        if isinstance(child, Failure):
            return child
        try:
            frame = child.request(operation, deadline=self._deadline)
        except NoAnswer:
            self.timeouts += 1
            call, gpu = child.last_call()
            return self._failed(
                Failure(FailureKind.TIMEOUT, call=call, gpu=gpu, seconds=self._deadline)
            )
        except ChildDied as died:
            call, gpu = child.last_call()
            return self._failed(Failure(FailureKind.DIED, call=call, gpu=gpu, detail=str(died)))
        if "code" in frame:
            return self._failed(
                Failure(FailureKind.CODE, call=str(frame["call"]), code=int(frame["code"])),
            )
        self._failure = None
        self._back_off = 0.0
        answer: dict[str, Any] = frame["ok"]
        return answer

    def _start(self) -> Child | Failure:
        if self._unreaped is not None:
            if not self._unreaped.is_reaped():
                return self._failure or Failure(FailureKind.TIMEOUT, unreaped=True)
            self._unreaped = None
        if self._failure is not None and self._clock() < self._not_before:
            return self._failure
        try:
            self._child = self._spawn(self._announce)
        except OSError as error:
            return self._failed(Failure(FailureKind.DIED, detail=str(error)))
        self.starts += 1
        return self._child

    def _failed(self, failure: Failure) -> Failure:
        if not self._drop_child():
            failure = dataclasses.replace(failure, unreaped=True)
        self._failure = failure
        self._back_off = min(max(self._back_off * 2, _FIRST_BACK_OFF), _LONGEST_BACK_OFF)
        self._not_before = self._clock() + self._back_off
        return failure

    def _drop_child(self) -> bool:
        child, self._child = self._child, None
        if child is None or child.stop():
            return True
        self._unreaped = child
        return False

    def _announce(self, announcement: Mapping[str, Any]) -> None:
        try:
            event = decoding.event(announcement)
        except ValueError:
            return
        self._on_event(event)


def _wants_new_process(reading: Reading) -> bool:
    """Tell whether this session must end for the next reading to be able to differ."""
    if library.is_replaced(reading.driver.library_path):
        # The driver was upgraded under us: what is mapped is no longer what is installed.
        return True
    return any(
        gpu.failures.get("handle") in codes.NEEDS_NEW_PROCESS
        # An open session is a user of the GPU, and `nvidia-smi --gpu-reset` refuses to reset a
        # GPU in use: let go between the readings while a reset is what is wanted.
        or gpu.fatal_code == codes.RESET_REQUIRED
        or gpu.recovery_action in RECOVERY_BY_RESET
        for gpu in reading.gpus
    )
