"""Control groups: pods by path, memory by file, versions 1 and 2."""

from __future__ import annotations

import pytest

from nodeagent import cgroups

POD = "6f1f4c0e-7d0e-4f3e-9a55-0c0ffee0c0de"
UNDERSCORED = POD.replace("-", "_")


@pytest.mark.parametrize(
    ("text", "path", "version", "pod"),
    [
        pytest.param(
            f"0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice"
            "/cri-containerd-abc.scope",
            f"/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{UNDERSCORED}.slice"
            "/cri-containerd-abc.scope",
            2,
            POD,
            id="v2 systemd containerd",
        ),
        pytest.param(
            f"0::/kubepods/besteffort/pod{POD}/abc",
            f"/kubepods/besteffort/pod{POD}/abc",
            2,
            POD,
            id="v2 cgroupfs",
        ),
        pytest.param(
            f"11:memory:/kubepods/pod{POD}/abc\n4:cpu,cpuacct:/x\n0::/system.slice/kubelet.service",
            f"/kubepods/pod{POD}/abc",
            1,
            POD,
            id="hybrid: the memory hierarchy is version 1",
        ),
        pytest.param(
            f"0::/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/crio-abc.scope/container",
            f"/kubepods.slice/kubepods-pod{UNDERSCORED}.slice/crio-abc.scope/container",
            2,
            POD,
            id="v2 cri-o",
        ),
        pytest.param(
            f"0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UNDERSCORED}.slice/x",
            f"/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{UNDERSCORED}.slice/x",
            2,
            POD,
            id="kind",
        ),
        pytest.param(
            "0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef/abc",
            "/kubepods/burstable/pod0123456789abcdef0123456789abcdef/abc",
            2,
            "0123456789abcdef0123456789abcdef",
            id="static pod",
        ),
        pytest.param(
            f"0::/../../kubepods-pod{UNDERSCORED}.slice/x",
            f"/../../kubepods-pod{UNDERSCORED}.slice/x",
            2,
            POD,
            id="from a private namespace",
        ),
        pytest.param("0::/init.scope", "/init.scope", 2, None, id="no pod"),
        pytest.param("", "", 2, None, id="empty"),
        pytest.param("garbage\n\x00", "", 2, None, id="garbage"),
    ],
)
def test_membership(text: str, path: str, version: int, pod: str | None) -> None:
    assert cgroups.membership(text) == cgroups.Membership(path, version, pod)


@pytest.mark.parametrize(
    ("text", "limit"),
    [("max\n", None), ("1073741824\n", 1 << 30), ("9223372036854771712\n", None)],
    ids=["v2 unlimited", "limited", "v1 unlimited"],
)
def test_limit(text: str, limit: int | None) -> None:
    assert cgroups.limit(text) == limit


def test_resident_counts_anonymous_and_shared_memory() -> None:
    version_2 = cgroups.key_values("anon 100\nfile 9\nshmem 20\nnonsense\n")
    version_1 = cgroups.key_values("rss 1\nshmem 1\ntotal_rss 100\ntotal_shmem 20\n")
    assert cgroups.resident(version_2, version=2) == 120
    assert cgroups.resident(version_1, version=1) == 120


def test_a_cut_statistic_is_an_error_and_not_zero() -> None:
    with pytest.raises(KeyError):
        cgroups.resident({}, version=2)
