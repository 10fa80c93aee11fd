"""XIDs, the error numbers of NVIDIA's driver, and what NVIDIA's catalogue says to do. Data.

Classes follow the catalogue's immediate actions (docs.nvidia.com/deploy/xid-errors, as of October
2025; node-agent.md §2). Device plugin, GKE and others disagree with it and with each other on 43,
63, 94 and 109; the operator's configuration can move any number to another class.
"""

import enum
from collections.abc import Mapping


class XidClass(enum.Enum):
    """What has to happen after an error."""

    APPLICATION = "app"
    INFORMATION = "info"
    RESET = "reset"
    NVLINK = "nvlink"
    REBOOT = "reboot"
    CONFIGURATION = "config"
    UNLISTED = "unlisted"


def _numbers(*numbers: int | range) -> frozenset[int]:
    return frozenset(
        each for number in numbers for each in (number if isinstance(number, range) else (number,))
    )


_CLASSES = {
    # The process failed and the GPU is fine.
    XidClass.APPLICATION: _numbers(
        *(8, 11, 13, 25, 31, 32, range(39, 42), 60, range(68, 73), range(75, 78), 80),
        *(range(82, 87), 88, 89, 94, range(96, 106), range(126, 136), 139),
    ),
    # 63 records a row remap (gpu-health reads what is pending), 154 a recovery action.
    XidClass.INFORMATION: _numbers(
        *(37, 38, 43, 44, 63, 66, 67, 92, 93, 106, 107, 121, 137, 141, range(152, 155), 157),
        range(160, 166),
    ),
    XidClass.RESET: _numbers(46, 48, 62, 64, 95, 109, 110, 119, 120, 136, 140, 143, 155, 156, 158),
    XidClass.NVLINK: _numbers(74, range(144, 151)),
    XidClass.REBOOT: _numbers(79, 151),
    XidClass.CONFIGURATION: _numbers(45, 54, 78, 159),
}
_BY_NUMBER = {number: each for each, numbers in _CLASSES.items() for number in numbers}

_TITLES = {
    13: "graphics engine exception",
    31: "GPU memory page fault",
    45: "preemptive clean-up",
    48: "double-bit ECC error",
    63: "row remap recorded",
    64: "row remap not recorded",
    74: "NVLink error",
    79: "GPU has fallen off the bus",
    92: "high rate of single-bit ECC errors",
    94: "contained memory error",
    95: "uncontained memory error",
    119: "GSP timeout",
    120: "GSP error",
    154: "recovery action changed",
}


def classified(xid: int, overrides: Mapping[str, str]) -> XidClass:
    """Return the class of an XID; `overrides` maps numbers to class names, unknown ones ignored."""
    name = overrides.get(str(xid))
    if name is not None:
        for each in XidClass:
            if each.value == name:
                return each
    return _BY_NUMBER.get(xid, XidClass.UNLISTED)


def described(xid: int) -> str:
    """Return an XID as people search for it: `XID 79 (GPU has fallen off the bus)`."""
    title = _TITLES.get(xid)
    return f"XID {xid}" if title is None else f"XID {xid} ({title})"
