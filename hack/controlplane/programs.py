"""Which programs make a control plane, which versions are wanted, and which others would do.

Pure: reads no file and starts nothing. The versions themselves are written once, in the go.mod
files of `kubernetes/` and `kwok/`.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

VERSION = re.compile(r"\bv?(\d+)\.(\d+)\.(\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One program: where its source is, and how it tells its version."""

    name: str
    sources: str
    """Folder beside this file that holds the go.mod."""
    module: str
    """The module whose version in that go.mod is the program's version."""
    package: str
    version_arguments: tuple[str, ...] = ("--version",)
    version_variable: str = ""
    """Go variable that must hold the version: left alone, the servers call themselves v0.0.0."""


def _kubernetes(name: str, *version_arguments: str) -> Program:
    return Program(
        name=name,
        sources="kubernetes",
        module="k8s.io/kubernetes",
        package=f"k8s.io/kubernetes/cmd/{name}",
        version_arguments=version_arguments or ("--version",),
        version_variable="k8s.io/component-base/version.gitVersion",
    )


KUBE_APISERVER = _kubernetes("kube-apiserver")
KUBE_CONTROLLER_MANAGER = _kubernetes("kube-controller-manager")
KUBE_SCHEDULER = _kubernetes("kube-scheduler")
KUBECTL = _kubernetes("kubectl", "version", "--client")
ETCD = Program(
    name="etcd",
    sources="kubernetes",
    module="go.etcd.io/etcd/server/v3",
    package="go.etcd.io/etcd/server/v3",
)
KWOK = Program(
    name="kwok",
    sources="kwok",
    module="sigs.k8s.io/kwok",
    package="sigs.k8s.io/kwok/cmd/kwok",
)

CORE = (ETCD, KUBE_APISERVER, KUBE_CONTROLLER_MANAGER, KUBE_SCHEDULER, KUBECTL)
ALL = (*CORE, KWOK)

# Nodes that are Ready at once and stay so, pods that are Running at once, deletions that end: what
# kwok calls its "fast" stages. Without stages it plays nothing.
KWOK_STAGES = (
    "node/fast/node-initialize.yaml",
    "node/heartbeat-with-lease/node-heartbeat-with-lease.yaml",
    "pod/fast/pod-ready.yaml",
    "pod/fast/pod-complete.yaml",
    "pod/fast/pod-delete.yaml",
)


def wanted_version(go_mod: str, module: str) -> str:
    """Return the version that a go.mod requires of a module, such as "v1.36.3"."""
    found = re.search(rf"^\s*(?:require\s+)?{re.escape(module)}\s+(v\S+)", go_mod, re.MULTILINE)
    if found is None:
        raise ValueError(f"go.mod does not require {module}")
    return found[1]


def wanted_go(go_mod: str) -> tuple[int, ...]:
    """Return the oldest Go that a go.mod accepts, such as (1, 26, 0)."""
    found = re.search(r"^go\s+([\d.]+)", go_mod, re.MULTILINE)
    return tuple(int(part) for part in found[1].split(".")) if found else (1, 24)


def go_version_in(output: str) -> tuple[int, int] | None:
    """Return the major and minor that `go` tells of itself, as in "go1.26.3" or "go1.27rc1"."""
    found = re.search(r"\bgo(\d+)\.(\d+)", output)
    return (int(found[1]), int(found[2])) if found else None


def version_in(output: str) -> tuple[int, int, int] | None:
    """Return the first version in what a program says about itself, None when it says none."""
    found = VERSION.search(output)
    return (int(found[1]), int(found[2]), int(found[3])) if found else None


def fits(found: str, wanted: str) -> bool:
    """Whether a program of one version can stand in for another: same major and minor."""
    have, want = version_in(found), version_in(wanted)
    return have is not None and want is not None and have[:2] == want[:2]


def build_arguments(program: Program, *, version: str) -> tuple[str, ...]:
    """Return the arguments of `go` that build the program, without `-o`."""
    linker = "-s -w"
    if program.version_variable:
        linker += f" -X {program.version_variable}={version}"
    return (
        "build",
        "-mod=readonly",
        "-trimpath",
        # The checkout around the go.mod is not the source of what is built.
        "-buildvcs=false",
        f"-ldflags={linker}",
    )


def stamp(program: Program, *, go_mod: bytes, go_sum: bytes) -> str:
    """Return what identifies a build: it changes with the sources and with the flags."""
    version = wanted_version(go_mod.decode(), program.module)
    digest = hashlib.sha256()
    for part in (go_mod, go_sum, program.package.encode()):
        digest.update(hashlib.sha256(part).digest())
    digest.update("\0".join(build_arguments(program, version=version)).encode())
    return f"{version} {digest.hexdigest()}\n"
