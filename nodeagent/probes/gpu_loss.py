"""The check `gpu-lost`: does each GPU still answer? Pure."""

from collections.abc import Iterator

from nodeagent.catalogue import gpu as reasons
from nodeagent.catalogue.model import Reason
from nodeagent.findings import Finding, gpu
from nodeagent.host import PciGpu
from nodeagent.nvml import codes
from nodeagent.nvml.model import Failure, Gpu, Reading
from nodeagent.probes.known_gpus import KnownGpu, identified


def judge(
    answer: Reading | Failure,
    *,
    known: tuple[KnownGpu, ...],
    pci: tuple[PciGpu, ...] | None = None,
) -> tuple[Finding, ...]:
    """Say of each GPU, of those in the reading and those remembered, whether it answers."""
    if isinstance(answer, Failure):
        return tuple(
            _finding(
                reasons.NVML_UNAVAILABLE,
                each,
                f"{each.title} cannot be asked: NVML gives no answer",
            )
            for each in known
        )
    present = list(zip(identified(answer.gpus, known, pci=pci), answer.gpus, strict=True))
    return (*_judge_present(present), *_judge_vanished(present, known))


def _judge_present(present: list[tuple[KnownGpu, Gpu]]) -> Iterator[Finding]:
    for who, each in present:
        code = each.fatal_code
        if code is None:
            yield _finding(reasons.GPU_ANSWERS, who, f"{who.title} answers")
            continue
        call = _first_call(each, code)
        evidence = {"code": str(code), "question": call, "pciBusId": who.pci_bus_id}
        yield _finding(_reason(code), who, f"{who.title} {_sentence(code)}", evidence=evidence)


def _judge_vanished(
    present: list[tuple[KnownGpu, Gpu]], known: tuple[KnownGpu, ...]
) -> Iterator[Finding]:
    seen = {who.uuid for who, _ in present}
    for each in known:
        if each.uuid not in seen:
            yield _finding(
                reasons.GPU_VANISHED,
                each,
                f"{each.title} is no longer listed by the driver",
                evidence={"pciBusId": each.pci_bus_id},
            )


def _reason(code: int) -> Reason:
    return {
        codes.GPU_IS_LOST: reasons.GPU_IS_LOST,
        codes.RESET_REQUIRED: reasons.GPU_RESET_REQUIRED,
        codes.NO_PERMISSION: reasons.GPU_NO_PERMISSION,
    }.get(code, reasons.GPU_ERROR)


def _sentence(code: int) -> str:
    said = f"NVML answers {codes.described(code)}"
    return {
        codes.GPU_IS_LOST: f"is lost: {said}",
        codes.RESET_REQUIRED: f"must be reset: {said}",
        codes.NO_PERMISSION: f"is refused to the agent: {said}",
    }.get(code, f"cannot be opened: {said}")


def _first_call(each: Gpu, code: int) -> str:
    return next((name for name, value in each.failures.items() if value == code), "")


def _finding(
    reason: Reason, who: KnownGpu, message: str, *, evidence: dict[str, str] | None = None
) -> Finding:
    return reasons.GPU_LOST.finding(
        reason,
        gpu(who.uuid),
        message,
        evidence={"index": str(who.index), **(evidence or {})},
        index=who.index,
    )
