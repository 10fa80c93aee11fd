"""The check `shared-memory`: observed over trees, judged by table."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hack.demo.host_root import (
    EMPTY_DIR,
    HOST_DEVICE,
    RUNTIME_DEFAULT,
    SHARED,
    HostProcess,
    HostRoot,
    ShmMount,
)
from nodeagent.assignment import Assignment, Engine, EnginePod, IpcMode
from nodeagent.errors import Absent, Denied, HostReadError, Unreadable
from nodeagent.findings import Finding, Outcome
from nodeagent.host import Host
from nodeagent.probes.shared_memory import (
    EngineMounts,
    SharedMemoryFacts,
    SharedMemoryObserver,
    judge,
)
from nodeagent.processes import ProcessScanner

if TYPE_CHECKING:
    from pathlib import Path

POD = "6f1f4c0e-7d0e-4f3e-9a55-0c0ffee0c0de"
PASS, FAIL, UNKNOWN = Outcome.PASS, Outcome.FAIL, Outcome.UNKNOWN
HOST_IPC, HOST_PATH, ISOLATED = IpcMode.HOST_IPC, IpcMode.HOST_PATH, IpcMode.ISOLATED


def assignment(mode: IpcMode = HOST_IPC, *, started: float | None = 1.0) -> Assignment:
    pod = EnginePod(POD, name="my-cache-x2x", started_at=started)
    return Assignment("1", (Engine("e", "default", "my-cache", pods=(pod,), ipc_mode=mode),))


def look(root: Path, host_root: HostRoot, wanted: Assignment) -> Finding:
    host = Host(host_root.write(root))
    facts = SharedMemoryObserver(host, ProcessScanner(host))(wanted)
    (finding,) = judge(facts, wanted)
    return finding


@pytest.mark.parametrize(
    ("mount", "mode", "outcome", "reason", "message", "remedy"),
    [
        pytest.param(
            SHARED, HOST_IPC, PASS, "SharedMemoryShared", "sees the host's", "", id="hostIPC"
        ),
        pytest.param(
            SHARED, HOST_PATH, PASS, "SharedMemoryShared", "sees the host's", "", id="hostPath"
        ),
        pytest.param(
            EMPTY_DIR,
            HOST_IPC,
            FAIL,
            "SharedMemoryPrivate",
            "default/my-cache has a private /dev/shm: a tmpfs of its own (an emptyDir",
            "Remove the volume on /dev/shm",
            id="hostIPC with an emptyDir over it",
        ),
        pytest.param(
            RUNTIME_DEFAULT,
            HOST_IPC,
            FAIL,
            "SharedMemoryPrivate",
            "the container runtime's own /dev/shm (65536k) (device 0:47, the host's is 0:27)",
            "kubectl -n default delete pod my-cache-x2x",
            id="a pod from before hostIPC was set",
        ),
        pytest.param(
            EMPTY_DIR,
            HOST_PATH,
            FAIL,
            "SharedMemoryPrivate",
            "a tmpfs of its own",
            "hostPath /dev/shm",
            id="hostPath with an emptyDir over it",
        ),
        pytest.param(
            ShmMount(root="/lmcache"),
            HOST_PATH,
            FAIL,
            "SharedMemoryPrivate",
            "a subdirectory of the host's, /lmcache",
            "hostPath /dev/shm",
            id="a subdirectory",
        ),
        pytest.param(
            ShmMount("8:1", "/var/lib/kubelet/pods/x/volumes/kubernetes.io~empty-dir/d", "ext4"),
            HOST_IPC,
            FAIL,
            "SharedMemoryPrivate",
            "an emptyDir on disk (ext4)",
            "Remove the volume",
            id="an emptyDir on disk",
        ),
        pytest.param(
            None, HOST_IPC, FAIL, "SharedMemoryPrivate", "no mount at all", "delete pod", id="none"
        ),
        pytest.param(
            EMPTY_DIR,
            ISOLATED,
            Outcome.NOT_APPLICABLE,
            "IsolatedIpc",
            "isolated IPC",
            "",
            id="isolated needs none of it",
        ),
    ],
)
def test_mounts(
    tmp_path: Path,
    mount: ShmMount | None,
    mode: IpcMode,
    outcome: Outcome,
    reason: str,
    message: str,
    remedy: str,
) -> None:
    tree = HostRoot(processes=(HostProcess(10, POD, shm=mount),))
    finding = look(tmp_path, tree, assignment(mode))
    assert (finding.outcome, finding.reason) == (outcome, reason)
    assert message in finding.message
    assert remedy in finding.remedy
    assert bool(remedy) == bool(finding.remedy)


def test_one_private_process_among_shared_ones_is_enough(tmp_path: Path) -> None:
    tree = HostRoot(processes=(HostProcess(10, POD), HostProcess(11, POD, shm=EMPTY_DIR)))
    assert look(tmp_path, tree, assignment()).reason == "SharedMemoryPrivate"


def test_gateway_and_sandbox_may_have_what_they_want(tmp_path: Path) -> None:
    tree = HostRoot(
        processes=(
            HostProcess(9, POD, arguments=("/pause",), container="box", shm=RUNTIME_DEFAULT),
            HostProcess(10, POD),
            HostProcess(11, POD, arguments=("gateway",), container="gate", shm=RUNTIME_DEFAULT),
        )
    )
    assert look(tmp_path, tree, assignment(HOST_PATH)).reason == "SharedMemoryShared"


@pytest.mark.parametrize(
    ("started", "reason"),
    [(None, "EngineNotStarted"), (5.0, "EngineProcessNotFound")],
    ids=["not started", "started and not found"],
)
def test_without_a_process(tmp_path: Path, started: float | None, reason: str) -> None:
    assert look(tmp_path, HostRoot(), assignment(started=started)).reason == reason


@pytest.mark.parametrize(
    ("mounts", "reference", "reason", "words"),
    [
        pytest.param(
            EngineMounts({}, Denied("/proc/10/mountinfo: no", capability="CAP_SYS_PTRACE")),
            (HOST_DEVICE, "/"),
            "PermissionDenied",
            "CAP_SYS_PTRACE",
            id="mounts refused",
        ),
        pytest.param(
            EngineMounts({10: None}),
            Denied("/proc/1/mountinfo: no", capability="CAP_SYS_PTRACE"),
            "PermissionDenied",
            "CAP_SYS_PTRACE",
            id="reference refused",
        ),
        pytest.param(
            EngineMounts({}, Unreadable("/proc/10/mountinfo: odd")),
            (HOST_DEVICE, "/"),
            "HostUnreadable",
            "",
            id="mounts unreadable",
        ),
        pytest.param(
            EngineMounts({10: None}), Absent("gone"), "HostUnreadable", "", id="reference absent"
        ),
    ],
)
def test_what_the_agent_cannot_see_is_unknown(
    mounts: EngineMounts, reference: tuple[str, str] | HostReadError, reason: str, words: str
) -> None:
    (finding,) = judge(SharedMemoryFacts(reference, {"e": mounts}), assignment())
    assert (finding.outcome, finding.reason) == (UNKNOWN, reason)
    assert words in finding.remedy
