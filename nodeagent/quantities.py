"""Sizes as people read them. LMCache's "GB" is GiB (1 << 30), and so is `l1.sizeGB`."""

KIB = 1 << 10
MIB = 1 << 20
GIB = 1 << 30


def human(size: int) -> str:
    """Return a size in bytes with the unit that leaves one decimal: `65.0 GiB`, `64.0 MiB`."""
    magnitude = abs(size)
    if magnitude >= GIB:
        return f"{size / GIB:.1f} GiB"
    if magnitude >= MIB:
        return f"{size / MIB:.1f} MiB"
    if magnitude >= KIB:
        return f"{size / KIB:.1f} KiB"
    return f"{size} B"
