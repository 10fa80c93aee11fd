"""The check `gpu-health`: the driver's own verdict and its records of memory errors. Pure.

An ordered chain: the first rule that a GPU breaks names its trouble. What a driver or board does
not offer breaks no rule.
"""

from collections.abc import Callable, Iterable

from nodeagent.catalogue import gpu_health as reasons
from nodeagent.catalogue.model import Reason
from nodeagent.findings import Finding, gpu
from nodeagent.nvml import codes
from nodeagent.nvml.model import Gpu
from nodeagent.probes.known_gpus import KnownGpu

# DCGM's limits (DcgmGPUHardwareLimits.h); Azure's node health checks use the same for rows.
_MOST_UNCORRECTABLE_ROWS = 512
_MOST_RETIRED_PAGES = 63
_MOST_DOUBLE_BIT_PAGES = 15

# NVML_GPU_RECOVERY_ACTION_*; 3 is not among them (see GPU_DRAIN_ADVISED).
_DRAIN_PEER_TO_PEER = 3
_ACTIONS = {
    1: "run `nvidia-smi --gpu-reset -i {index}`",
    2: "reboot it",
    4: "run `nvidia-smi --gpu-reset -i {index}`",
    5: "recover its IMEX domain (restart nvidia-imex on all of the domain's nodes)",
    6: "run `nvidia-smi --gpu-reset -i {index}`, or power-cycle it",
    7: "reboot the whole system",
}

_Rule = Callable[[Gpu], tuple[Reason, str] | None]


def _recovery(each: Gpu) -> tuple[Reason, str] | None:
    action = each.recovery_action
    if not action or action == _DRAIN_PEER_TO_PEER:
        return None
    return reasons.GPU_RECOVERY_REQUIRED, f"needs recovery: the driver asks for action {action}"


def _remap_failed(each: Gpu) -> tuple[Reason, str] | None:
    if each.remapped_rows is None or not each.remapped_rows.failed:
        return None
    return reasons.GPU_ROW_REMAP_FAILED, "could not remap a broken row of its memory"


def _rows_exhausted(each: Gpu) -> tuple[Reason, str] | None:
    rows = each.remapped_rows
    if rows is None or rows.uncorrectable < _MOST_UNCORRECTABLE_ROWS:
        return None
    words = f"has {rows.uncorrectable} rows remapped for uncorrectable errors"
    return reasons.GPU_ROWS_EXHAUSTED, f"{words} (limit {_MOST_UNCORRECTABLE_ROWS})"


def _pages_exhausted(each: Gpu) -> tuple[Reason, str] | None:
    pages = each.retired_pages
    if pages is None:
        return None
    total = pages.single_bit + pages.double_bit
    if total < _MOST_RETIRED_PAGES and pages.double_bit < _MOST_DOUBLE_BIT_PAGES:
        return None
    words = f"has {total} retired pages, {pages.double_bit} of them for double-bit errors"
    return reasons.GPU_PAGES_EXHAUSTED, words


def _inforom(each: Gpu) -> tuple[Reason, str] | None:
    if codes.CORRUPTED_INFOROM not in each.failures.values():
        return None
    words = f"has a corrupted infoROM: NVML answers {codes.described(codes.CORRUPTED_INFOROM)}"
    return reasons.GPU_INFOROM_CORRUPTED, words


def _uncorrectable(each: Gpu) -> tuple[Reason, str] | None:
    if not each.uncorrectable_errors:
        return None
    words = f"had {each.uncorrectable_errors} uncorrectable memory errors since the driver loaded"
    if each.recovery_action == 0:
        return reasons.GPU_ECC_CONTAINED, f"{words}; the driver asks for no recovery"
    return reasons.GPU_ECC_UNCORRECTABLE, words


def _remap_pending(each: Gpu) -> tuple[Reason, str] | None:
    if each.remapped_rows is None or not each.remapped_rows.pending:
        return None
    return reasons.GPU_ROW_REMAP_PENDING, "has a row of its memory to remap at the next reset"


def _retirement_pending(each: Gpu) -> tuple[Reason, str] | None:
    if not each.retirement_pending:
        return None
    return reasons.GPU_PAGE_RETIREMENT_PENDING, "has a page to retire at the next reset"


def _drain_advised(each: Gpu) -> tuple[Reason, str] | None:
    if each.recovery_action != _DRAIN_PEER_TO_PEER:
        return None
    return reasons.GPU_DRAIN_ADVISED, "should be drained of peer-to-peer traffic (action 3)"


_RULES: tuple[_Rule, ...] = (
    _recovery,
    _remap_failed,
    _rows_exhausted,
    _pages_exhausted,
    _inforom,
    _uncorrectable,
    _remap_pending,
    _retirement_pending,
    _drain_advised,
)


def judge(gpus: Iterable[tuple[KnownGpu, Gpu]]) -> tuple[Finding, ...]:
    """Answer for each GPU of a reading."""
    return tuple(_judge_gpu(who, each) for who, each in gpus)


def _judge_gpu(who: KnownGpu, each: Gpu) -> Finding:
    reason, words = _verdict(each)
    action = _ACTIONS.get(each.recovery_action or 0, "ask `nvidia-smi -q -i {index}` what to do")
    return reasons.GPU_HEALTH.finding(
        reason,
        gpu(who.uuid),
        f"{who.title} {words}",
        evidence={"index": str(who.index), **_evidence(each)},
        index=who.index,
        action=action.format(index=who.index),
    )


def _verdict(each: Gpu) -> tuple[Reason, str]:
    if each.fatal_code is not None:
        return reasons.GPU_NOT_ANSWERING, "does not answer"
    for rule in _RULES:
        broken = rule(each)
        if broken is not None:
            return broken
    if not _evidence(each):
        return reasons.GPU_HEALTH_NOT_OFFERED, "keeps no records of memory errors"
    return reasons.GPU_HEALTHY, "has sound memory"


def _evidence(each: Gpu) -> dict[str, str]:
    """Return all that the driver offered."""
    rows, pages = each.remapped_rows, each.retired_pages
    values = {
        "recoveryAction": each.recovery_action,
        "uncorrectableErrors": each.uncorrectable_errors,
        "rowsRemappedCorrectable": None if rows is None else rows.correctable,
        "rowsRemappedUncorrectable": None if rows is None else rows.uncorrectable,
        "rowRemapPending": None if rows is None else int(rows.pending),
        "rowRemapFailed": None if rows is None else int(rows.failed),
        "pagesRetiredSingleBit": None if pages is None else pages.single_bit,
        "pagesRetiredDoubleBit": None if pages is None else pages.double_bit,
        "pageRetirementPending": (
            None if each.retirement_pending is None else int(each.retirement_pending)
        ),
    }
    return {name: str(value) for name, value in values.items() if value is not None}
