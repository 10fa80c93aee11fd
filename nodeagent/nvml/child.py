"""The process that talks to NVML; the only importer of pynvml.

Started by client.py as `python -m nodeagent.nvml.child SOCKET PROGRESS`, with two inherited file
descriptors. It answers one request at a time and ends when its parent does. It imports nothing of
the agent but the frames, the codes and the readings, so that it stays small and never loads gRPC.
"""

import ctypes
import signal
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import pynvml

from nodeagent.nvml import codes, events, frames, library, readings


class NvmlCallFailed(Exception):
    """A call about the whole driver failed with `code`."""

    def __init__(self, call: str, code: int) -> None:
        super().__init__(f"{call}: {codes.described(code)}")
        self.call = call
        self.code = code


class Session:
    """One NVML session: opened by the first request, never opened twice."""

    def __init__(self, *, progress: int, announce: Callable[[dict[str, Any]], None]) -> None:
        self._progress = progress
        self._announce = announce
        self._opened = False

    def answer(self, operation: str) -> dict[str, Any]:
        """Carry out one request.

        Raises:
            NvmlCallFailed: the driver as a whole refused.

        """
        if not self._opened:
            self._call("nvmlInit", pynvml.nvmlInit)
            self._opened = True
            events.start(announce=self._announce)
        count = int(self._call("nvmlDeviceGetCount", pynvml.nvmlDeviceGetCount))
        if operation == "pulse":
            return {"codes": [self._pulse(index) for index in range(count)]}
        return {
            "driver": readings.driver(library.loaded_path(), call=self._optional),
            "gpus": [readings.gpu(index, progress=self._note) for index in range(count)],
        }

    def _pulse(self, index: int) -> int:
        """Return the code of the cheapest question that a dead GPU cannot answer.

        The handle look-up fails for a lost GPU, and so does its memory's size; both are answered
        without waking an idle GPU.
        """
        self._note("nvmlDeviceGetHandleByIndex", index)
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            self._note("nvmlDeviceGetMemoryInfo", index)
            pynvml.nvmlDeviceGetMemoryInfo(handle)
        except pynvml.NVMLError as error:
            return int(error.value)
        return codes.SUCCESS

    def _note(self, call: str, gpu: int | None) -> None:
        frames.note_progress(self._progress, call, gpu)

    def _call(self, name: str, function: Callable[[], Any]) -> Any:
        self._note(name, None)
        try:
            return function()
        except pynvml.NVMLError as error:
            raise NvmlCallFailed(name, int(error.value)) from error

    def _optional(self, name: str, function: Callable[[], Any]) -> Any:
        self._note(name, None)
        try:
            return function()
        except pynvml.NVMLError:
            return None


def serve(channel: socket.socket, *, progress: int) -> None:
    """Answer requests until the parent closes its end, or until a new process must try again."""
    buffer = frames.FrameBuffer()
    sending = threading.Lock()

    def send(frame: dict[str, Any]) -> None:
        with sending:
            channel.sendall(frames.encode(frame))

    session = Session(progress=progress, announce=send)
    while data := channel.recv(65536):
        for request in buffer.feed(data):
            try:
                send({"id": request["id"], "ok": session.answer(request["operation"])})
            except NvmlCallFailed as failed:
                # What failed sticks to this process (codes.NEEDS_NEW_PROCESS): let a new one try.
                send({"id": request["id"], "call": failed.call, "code": failed.code})
                return


def _end_with_parent() -> None:
    """Have the kernel kill this process when its parent dies, even while a call is stuck."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def main() -> None:
    """Run the child."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    _end_with_parent()
    channel = socket.socket(fileno=int(sys.argv[1]))
    try:
        serve(channel, progress=int(sys.argv[2]))
    except (BrokenPipeError, ConnectionResetError):
        return


if __name__ == "__main__":
    main()
