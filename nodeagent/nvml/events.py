"""XIDs as NVML announces them, in a thread and an event set of their own.

Nothing that happened before the registration is ever delivered, so the thread starts with the
session. It blocks in the library (ctypes lets go of the interpreter lock meanwhile), so getters
and events do not hold each other up.
"""

import ctypes
import threading
from collections.abc import Callable
from typing import Any

import pynvml

from nodeagent.nvml import codes

Announce = Callable[[dict[str, Any]], None]

# Long, because a wake-up costs and an event ends the wait at once.
_WAIT_MILLISECONDS = 5000


def start(*, announce: Announce) -> None:
    """Register for critical errors of all GPUs, then announce them from a daemon thread.

    Returns when all are registered: what happens after the session's first answer is not missed.
    """
    try:
        event_set = pynvml.nvmlEventSetCreate()
        uuids = _register(event_set)
    except pynvml.NVMLError:
        return
    if uuids:
        threading.Thread(
            target=_watch,
            args=(event_set, uuids),
            kwargs={"announce": announce},
            name="nvml-events",
            daemon=True,
        ).start()


def _watch(event_set: Any, uuids: dict[int | None, str], *, announce: Announce) -> None:
    while True:
        try:
            event = pynvml.nvmlEventSetWait_v2(event_set, _WAIT_MILLISECONDS)
        except pynvml.NVMLError as error:
            if error.value == codes.TIMEOUT:
                continue
            # A lost GPU ends the wait for all of them; the getters say which one it is.
            announce({"event": {"uuid": "", "kind": "wait-failed", "data": int(error.value)}})
            return
        uuid = uuids.get(_address(event.device), "")
        announce({"event": {"uuid": uuid, "kind": "xid", "data": int(event.eventData)}})


def _register(event_set: Any) -> dict[int | None, str]:
    uuids: dict[int | None, str] = {}
    for index in range(pynvml.nvmlDeviceGetCount()):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            supported = pynvml.nvmlDeviceGetSupportedEventTypes(handle)
            # One unsupported bit and none is registered: ask for what is offered only.
            wanted = supported & pynvml.nvmlEventTypeXidCriticalError
            if wanted:
                pynvml.nvmlDeviceRegisterEvents(handle, wanted, event_set)
                uuids[_address(handle)] = pynvml.nvmlDeviceGetUUID(handle)
        except pynvml.NVMLError:
            continue
    return uuids


def _address(handle: Any) -> int | None:
    return ctypes.cast(handle, ctypes.c_void_p).value
