"""The process under the fake library: evaluates the expressions it is sent, with pynvml at hand.

Run as a program, never imported: the library's state belongs to the process. One expression per
line comes in, one JSON reply per line goes out. ``PRELOAD`` names a library to load by its path.
"""

import ctypes
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

if "PRELOAD" in os.environ:
    ctypes.CDLL(os.environ["PRELOAD"])

import pynvml as p


def gpu(index: int) -> Any:
    return p.nvmlDeviceGetHandleByIndex(index)


def fields(handle: Any, *ids: Any) -> list[Any]:
    """Field values as (code, type, number of that type)."""
    members = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
    return [
        (value.nvmlReturn, value.valueType, getattr(value.value, members[value.valueType]))
        for value in p.nvmlDeviceGetFieldValues(handle, list(ids))
    ]


def code(call: Callable[..., Any], *arguments: Any) -> Any:
    """The return code of a call, as a number."""
    try:
        call(*arguments)
    except p.NVMLError as error:
        return error.value
    return 0


def timed(call: Callable[..., Any], *arguments: Any) -> tuple[float, int]:
    """Seconds that a call took, and its return code."""
    start = time.monotonic()
    answer = code(call, *arguments)
    return time.monotonic() - start, answer


def wait(events: Any, milliseconds: int) -> dict[str, Any]:
    event = p.nvmlEventSetWait_v2(events, milliseconds)
    return {
        "gpu": p.nvmlDeviceGetUUID(event.device),
        "type": event.eventType,
        "data": event.eventData,
        "instances": [event.gpuInstanceId, event.computeInstanceId],
    }


def register(events: Any, index: int, mask: int = p.nvmlEventTypeXidCriticalError) -> None:
    p.nvmlDeviceRegisterEvents(gpu(index), mask, events)


def record(name: str, version: int | None = None) -> Any:
    """A fresh record of one of pynvml's types."""
    made = getattr(p, name)()
    if version is not None:
        made.version = version
    return made


def fabric(handle: Any, version: int) -> Any:
    info = record(f"c_nvmlGpuFabricInfo_v{version}_t")
    p.nvmlDeviceGetGpuFabricInfoV(handle, ctypes.byref(info))
    return info


def mapped_library() -> list[str]:
    with open("/proc/self/maps") as maps:
        return sorted({line.split()[-1] for line in maps if "libnvidia-ml" in line})


def sizes() -> dict[str, list[int]]:
    """Name, size here, size there, for each of pynvml's record types."""
    sizeof = ctypes.CDLL("libnvidia-ml.so.1").fake_nvml_sizeof
    sizeof.restype = ctypes.c_size_t
    return {
        name: [ctypes.sizeof(kind), sizeof(name.encode())]
        for name, kind in vars(p).items()
        if isinstance(kind, type)
        and issubclass(kind, ctypes.Structure)
        and hasattr(kind, "_fields_")
    }


def in_background(call: Callable[..., Any], *arguments: Any) -> None:
    threading.Thread(target=call, args=arguments, daemon=True).start()


def in_threads(count: int, call: Callable[..., Any], *arguments: Any) -> list[Any]:
    with ThreadPoolExecutor(count) as pool:
        return [job.result() for job in [pool.submit(call, *arguments) for _ in range(count)]]


def distinct(count: int, call: Callable[[], Any]) -> list[Any]:
    """Call over and over, until the answers have been so many different ones."""
    seen: set[Any] = set()
    while len(seen) < count:
        seen.add(call())
    return sorted(seen)


def in_fork(call: Callable[[], Any]) -> Any:
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, json.dumps(plain(call())).encode())
        os._exit(0)
    os.close(writer)
    os.wait()
    with os.fdopen(reader) as stream:
        return json.loads(stream.read())


def plain(value: Any) -> Any:
    """Return a value that JSON can hold."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, p.c_nvmlDevice_t | p.c_nvmlEventSet_t):
        return ctypes.cast(value, ctypes.c_void_p).value
    if isinstance(value, ctypes.Structure):
        return {name: plain(getattr(value, name)) for name, *_ in value._fields_}
    if isinstance(value, ctypes._SimpleCData):
        return value.value
    if isinstance(value, ctypes.Array | list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if hasattr(value, "__dict__"):
        return {key: plain(item) for key, item in vars(value).items()}
    return value


def main() -> None:
    for line in sys.stdin:
        try:
            reply = {"value": plain(eval(line, globals()))}  # noqa: S307
        except p.NVMLError as error:
            reply = {"code": error.value}
        except Exception as error:  # noqa: BLE001
            reply = {"error": repr(error)}
        print(json.dumps(reply), flush=True)


main()
