"""Which LMCache release runs in the image, and what its `lmcache server` understands.

Read from the parsers inside the wheels 0.4.1 to 0.5.6 on PyPI. A flag that the server does not know
ends it with exit status 2, so a wrong guess is a crash loop, not a detail.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from coordinator.api.problem import Problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from coordinator.api.spec import EngineSpec


class Release(NamedTuple):
    """An LMCache release."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return ".".join(map(str, self))


# The first with the command `lmcache server`, and the last that we have read.
OLDEST = Release(0, 4, 3)
NEWEST = Release(0, 5, 6)
# What a tag without a patch number, such as v0.5, stands for.
_LAST_PATCH = {(0, 4): 7, (0, 5): 6}

# Up to here the server opens --prometheus-port itself; later ones accept the flag and answer
# /metrics on their HTTP port only.
LAST_WITH_PROMETHEUS_PORT = Release(0, 4, 4)
# Before, the flags were called --coordinator-l2-event-*.
FIRST_WITH_EVENT_FLAGS = Release(0, 5, 3)

# What came after OLDEST: field, first release, and whether a spec asks for it.
_ADDITIONS: tuple[tuple[str, Release, Callable[[EngineSpec], bool]], ...] = (
    (
        "spec.l2Backend.prefetchPolicy",
        Release(0, 4, 4),
        lambda spec: spec.l2_backend is not None and spec.l2_backend.prefetch_policy == "retain",
    ),
    (
        "spec.eviction.policy",
        Release(0, 4, 5),
        lambda spec: spec.eviction.policy == "IsolatedLRU",
    ),
    ("spec.coordinator", Release(0, 4, 7), lambda spec: spec.coordinator is not None),
    (
        # The one that would not end the server: older releases store in the clear.
        "spec.l2Backend.serde",
        Release(0, 5, 3),
        lambda spec: spec.l2_backend is not None and spec.l2_backend.serde is not None,
    ),
    ("spec.isolatedIPC", Release(0, 5, 5), lambda spec: bool(spec.isolated_ipc)),
    ("spec.l1.useHugepages", Release(0, 5, 6), lambda spec: spec.l1.use_hugepages),
    ("spec.eviction.policy", Release(0, 5, 6), lambda spec: spec.eviction.policy == "ARC"),
)

_RELEASE = re.compile(r"v?(?P<major>\d+)\.(?P<minor>\d+)(?:\.(?P<patch>\d+))?(?!\.?\d)")
_MOVING_TAG = re.compile(r"(latest|nightly)(-.*)?")
_REMEDY = "set spec.server.release to the LMCache release inside the image"


@dataclass(frozen=True, slots=True)
class ServerRelease:
    """The release whose flags a server gets, and what the user should know about that choice."""

    release: Release
    note: Problem | None = None


def server_release(spec: EngineSpec) -> ServerRelease:
    """Return the release by `server.release`, else by the image's tag, else the newest known.

    The tag of an image counts only if its repository is about LMCache (a mirror of it, for
    example): elsewhere it numbers something else. `latest` and `nightly` are the newest.
    """
    image = spec.image
    if spec.server.release is not None:
        return _nearest(spec.server.release, "spec.server.release")
    if "lmcache" in image.repository.lower():
        if _MOVING_TAG.fullmatch(image.tag):
            return ServerRelease(NEWEST)
        if _RELEASE.match(image.tag):
            return _nearest(image.tag, "spec.image.tag")
    return ServerRelease(
        NEWEST,
        Problem(
            "spec.image",
            f"{image.repository}:{image.tag} does not tell its LMCache release, so the server gets "
            f"the flags of {NEWEST}; {_REMEDY}",
        ),
    )


def unsupported(spec: EngineSpec, release: Release) -> Iterator[Problem]:
    """Return what the spec asks for and the release does not have."""
    for field, first, is_asked_for in _ADDITIONS:
        if is_asked_for(spec) and release < first:
            yield Problem(
                field,
                f"needs LMCache {first} or newer, and the image's is {release}; use a newer image, "
                f"or change the field. If the release is wrong, {_REMEDY}",
            )


def _nearest(text: str, field: str) -> ServerRelease:
    """Return the release that a text begins with, moved into the range that we know."""
    match = _RELEASE.match(text)
    if match is None:
        return ServerRelease(
            NEWEST,
            Problem(field, f"{text} is no release, so the server gets the flags of {NEWEST}"),
        )
    series = (int(match["major"]), int(match["minor"]))
    release = Release(*series, int(match["patch"] or _LAST_PATCH.get(series, 0)))
    if release > NEWEST:
        return ServerRelease(
            NEWEST,
            Problem(
                field,
                f"LMCache {release} is newer than {NEWEST}, whose flags the server gets; if it "
                "does not start, use a newer operator",
            ),
        )
    if release < OLDEST:
        return ServerRelease(
            OLDEST,
            Problem(
                field,
                f"LMCache {release} is older than {OLDEST}, the first with the command "
                "`lmcache server`, whose flags it gets; use a newer image, or, if the image holds "
                f"another release, {_REMEDY}",
            ),
        )
    return ServerRelease(release)
