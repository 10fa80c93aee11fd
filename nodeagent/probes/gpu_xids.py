"""The check `gpu-xid`: the errors that a GPU announced, by what has to happen. Pure."""

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from nodeagent.catalogue import gpu_health as reasons
from nodeagent.catalogue.model import Reason
from nodeagent.findings import Finding, gpu
from nodeagent.nvml.model import Gpu
from nodeagent.probes.known_gpus import KnownGpu
from nodeagent.xid_log import Xid
from nodeagent.xids import XidClass, classified, described

# How long a failed process is worth showing on a GPU that is fine.
_APPLICATION_SECONDS = 600.0
# The driver takes a moment to set its recovery action after an error; then its word counts.
_DRIVER_DECIDES_AFTER = 60.0

_REASONS = {
    XidClass.REBOOT: reasons.XID_REBOOT,
    XidClass.RESET: reasons.XID_RESET,
    XidClass.NVLINK: reasons.XID_NVLINK,
    XidClass.CONFIGURATION: reasons.XID_CONFIGURATION,
    XidClass.UNLISTED: reasons.XID_UNLISTED,
    XidClass.APPLICATION: reasons.XID_APPLICATION,
}
_URGENCY = tuple(_REASONS)


@dataclass(frozen=True, slots=True)
class XidFacts:
    """The errors that stand, and when that was (seconds since the epoch)."""

    xids: tuple[Xid, ...] = ()
    now: float = 0.0


def settled(
    facts: XidFacts, gpus: Iterable[Gpu], *, overrides: Mapping[str, str]
) -> tuple[Xid, ...]:
    """Return the errors that no longer matter.

    Failed processes after a while, mere information at once, and what a reset mends as soon as the
    driver says that it asks for no recovery: field 230 overrides the catalogue.
    """
    content = {each.uuid for each in gpus if each.uuid and each.recovery_action == 0}
    return tuple(
        xid
        for xid in facts.xids
        if _is_settled(
            classified(xid.number, overrides),
            age=facts.now - xid.last,
            driver_is_content=xid.uuid in content,
        )
    )


def _is_settled(kind: XidClass, *, age: float, driver_is_content: bool) -> bool:
    if kind is XidClass.INFORMATION:
        return True
    if kind is XidClass.APPLICATION:
        return age > _APPLICATION_SECONDS
    if kind in (XidClass.RESET, XidClass.NVLINK):
        return driver_is_content and age > _DRIVER_DECIDES_AFTER
    return False


def judge(
    facts: XidFacts, known: Iterable[KnownGpu], *, overrides: Mapping[str, str]
) -> tuple[Finding, ...]:
    """Answer for each GPU that is or was there, by its most urgent error."""
    return tuple(
        _judge_gpu(who, [xid for xid in facts.xids if xid.uuid == who.uuid], overrides=overrides)
        for who in known
    )


def _judge_gpu(who: KnownGpu, xids: list[Xid], *, overrides: Mapping[str, str]) -> Finding:
    by_class: dict[XidClass, list[Xid]] = {}
    for xid in xids:
        by_class.setdefault(classified(xid.number, overrides), []).append(xid)
    for kind in _URGENCY:
        if kind in by_class:
            worst = max(by_class[kind], key=lambda xid: xid.last)
            return _finding(_REASONS[kind], who, worst, kind=kind)
    return reasons.GPU_XID.finding(
        reasons.NO_XID,
        gpu(who.uuid),
        f"{who.title} announced no error",
        evidence={"index": str(who.index)},
    )


def _finding(reason: Reason, who: KnownGpu, xid: Xid, *, kind: XidClass) -> Finding:
    last = datetime.datetime.fromtimestamp(xid.last, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    times = "" if xid.count == 1 else f" {xid.count} times, last"
    return reasons.GPU_XID.finding(
        reason,
        gpu(who.uuid),
        f"{who.title} announced {described(xid.number)}{times} at {last}",
        evidence={
            "index": str(who.index),
            "xid": str(xid.number),
            "class": kind.value,
            "count": str(xid.count),
            "last": last,
        },
        index=who.index,
        uuid=who.uuid,
        xid=xid.number,
    )
