"""One NVML child as an operating-system process: started, spoken to, killed."""

import contextlib
import os
import queue
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from nodeagent.nvml import frames

COMMAND = (sys.executable, "-m", "nodeagent.nvml.child")

# A killed process that is still there after this hangs inside the kernel (state D).
_REAP_SECONDS = 1.0


class NoAnswer(Exception):
    """The child did not answer within the deadline."""


class ChildDied(Exception):
    """The child ended, or said something that is not ours, before it answered."""


class ChildProcess:
    """A running child. Not thread-safe: client.py lets one request at a time through."""

    def __init__(
        self,
        *,
        on_event: Callable[[Mapping[str, Any]], None],
        command: Sequence[str] = COMMAND,
    ) -> None:
        ours, theirs = socket.socketpair()
        self._progress = os.memfd_create("nvml-progress")
        os.ftruncate(self._progress, frames.PROGRESS_SIZE)
        try:
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(self._progress)],
                pass_fds=(theirs.fileno(), self._progress),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
            )
        except BaseException:
            ours.close()
            os.close(self._progress)
            raise
        finally:
            theirs.close()
        self._socket = ours
        self._on_event = on_event
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._last_id = 0
        self._reader = threading.Thread(target=self._read, name="nvml-reader", daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The child's process id, as the agent's PID namespace counts."""
        return self._process.pid

    def request(self, operation: str, *, deadline: float) -> dict[str, Any]:
        """Ask the child and return the frame of its answer.

        Raises:
            NoAnswer: nothing came within `deadline` seconds.
            ChildDied: the child ended instead.

        """
        self._last_id += 1
        frames.note_progress(self._progress, "(starting)" if self._last_id == 1 else "", None)
        end = time.monotonic() + deadline
        try:
            self._socket.sendall(frames.encode({"id": self._last_id, "operation": operation}))
        except OSError as error:
            raise ChildDied(str(error)) from error
        while True:
            try:
                frame = self._answers.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                raise NoAnswer from None
            if frame is None:
                raise ChildDied(self._exit())
            if frame.get("id") == self._last_id:
                return frame

    def last_call(self) -> tuple[str, int | None]:
        """Return the NVML call that the child was in, and the index of its GPU."""
        return frames.last_progress(self._progress)

    def stop(self) -> bool:
        """Kill the child and close everything; tell whether it could be reaped."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_REAP_SECONDS)
        self._reader.join()
        self._socket.close()
        os.close(self._progress)
        return self.is_reaped()

    def is_reaped(self) -> bool:
        """Tell whether the kernel has let go of the process."""
        return self._process.poll() is not None

    def _read(self) -> None:
        buffer = frames.FrameBuffer()
        try:
            while data := self._socket.recv(65536):
                for frame in buffer.feed(data):
                    if "event" in frame:
                        self._on_event(frame["event"])
                    else:
                        self._answers.put(frame)
        except (OSError, ValueError):
            pass
        self._answers.put(None)

    def _exit(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=_REAP_SECONDS)
        status = self._process.returncode
        if status is None:
            return "it closed its connection"
        return f"signal {-status}" if status < 0 else f"exit status {status}"
