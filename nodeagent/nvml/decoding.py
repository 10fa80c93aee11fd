"""The child's JSON as values. The child is not trusted to be right: what does not fit is None."""

from collections.abc import Mapping
from typing import Any

from nodeagent.nvml.model import (
    Driver,
    Event,
    Gpu,
    GpuProcess,
    Reading,
    RemappedRows,
    RetiredPages,
)


def reading(answer: Mapping[str, Any]) -> Reading:
    """Return the reading that an answer to `read` carries.

    Raises:
        ValueError: the answer does not have the shape of a reading.

    """
    try:
        driver = answer["driver"]
        return Reading(
            driver=Driver(
                library_path=_text(driver["library_path"]) or "",
                driver_version=_text(driver["driver_version"]) or "",
                nvml_version=_text(driver["nvml_version"]) or "",
                cuda_version=_count(driver["cuda_version"]) or 0,
            ),
            gpus=tuple(_gpu(gpu) for gpu in answer["gpus"]),
        )
    except (KeyError, TypeError, IndexError) as error:
        raise ValueError("the answer of the NVML child is not a reading") from error


def event(announcement: Mapping[str, Any]) -> Event:
    """Return the event that an announcement carries.

    Raises:
        ValueError: the announcement does not have the shape of an event.

    """
    try:
        return Event(
            uuid=str(announcement["uuid"]),
            kind=str(announcement["kind"]),
            data=int(announcement["data"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError("the announcement of the NVML child is not an event") from error


def _gpu(answer: Mapping[str, Any]) -> Gpu:
    memory = answer.get("memory")
    rows = answer.get("remapped_rows")
    pages = answer.get("retired_pages")
    processes = answer.get("processes")
    return Gpu(
        index=int(answer["index"]),
        uuid=_text(answer.get("uuid")),
        model=_text(answer.get("model")),
        pci_bus_id=_text(answer.get("pci_bus_id")),
        memory_total=memory[0] if memory else None,
        memory_used=memory[1] if memory else None,
        mig_enabled=answer.get("mig_enabled"),
        uncorrectable_errors=_count(answer.get("uncorrectable_errors")),
        remapped_rows=(
            RemappedRows(rows[0], rows[1], pending=bool(rows[2]), failed=bool(rows[3]))
            if rows
            else None
        ),
        retired_pages=RetiredPages(pages[0], pages[1]) if pages else None,
        retirement_pending=answer.get("retirement_pending"),
        recovery_action=_count(answer.get("recovery_action")),
        processes=(
            None
            if processes is None
            else tuple(GpuProcess(pid, used_memory) for pid, used_memory in processes)
        ),
        failures={str(name): int(code) for name, code in answer["failures"].items()},
    )


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    return value if isinstance(value, int) else None
