"""Versions, stamps and build arguments."""

import pytest

from hack.controlplane import programs
from hack.controlplane.binaries import HERE

GO_MOD = """\
module controlplane/kubernetes

go 1.26.0

tool k8s.io/kubernetes/cmd/kubectl

require (
	k8s.io/kubernetes v1.36.3 // indirect
	k8s.io/kubernetes-extra v9.9.9
)

require sigs.k8s.io/kwok v0.8.0

replace k8s.io/api => k8s.io/api v0.36.3
"""


@pytest.mark.parametrize(
    ("found", "wanted", "expected"),
    [
        ("Kubernetes v1.36.3", "v1.36.3", True),
        ("Kubernetes v1.36.0", "v1.36.3", True),
        ("Kubernetes v1.36.4-rc.0+abc", "v1.36.3", True),
        ("Kubernetes v1.35.9", "v1.36.3", False),
        ("Kubernetes v0.0.0-master+$Format:%H$", "v1.36.3", False),
        ("etcd Version: 3.6.8", "v3.6.8", True),
        ("kwok version v0.8.0 go1.26.8 (linux/amd64)", "v0.8.0", True),
        ("kwok version unknown go1.26.8 (linux/amd64)", "v0.8.0", False),
        ("", "v1.36.3", False),
    ],
)
def test_a_program_fits_when_its_minor_version_is_the_wanted_one(found, wanted, expected):
    assert programs.fits(found, wanted) is expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("go1.26.8\n", (1, 26)),
        ("go1.26", (1, 26)),
        ("go1.27rc1", (1, 27)),
        ("devel go1.28-abc", (1, 28)),
        ("", None),
    ],
)
def test_the_version_of_go_is_read_in_all_its_forms(said, expected):
    assert programs.go_version_in(said) == expected


def test_versions_come_from_go_mod():
    assert programs.wanted_version(GO_MOD, "k8s.io/kubernetes") == "v1.36.3"
    assert programs.wanted_version(GO_MOD, "sigs.k8s.io/kwok") == "v0.8.0"
    assert programs.wanted_go(GO_MOD) == (1, 26, 0)
    with pytest.raises(ValueError, match="does not require"):
        programs.wanted_version(GO_MOD, "k8s.io/other")


@pytest.mark.parametrize("program", programs.ALL, ids=lambda program: program.name)
def test_every_program_is_a_tool_of_its_go_mod(program):
    go_mod = (HERE / program.sources / "go.mod").read_text()
    assert f"{program.package}\n" in go_mod
    assert programs.wanted_version(go_mod, program.module).startswith("v")


def test_the_stamp_changes_with_sources_and_program():
    given = {"go_mod": GO_MOD.encode(), "go_sum": b"sums"}
    stamp = programs.stamp(programs.KUBECTL, **given)
    assert stamp == programs.stamp(programs.KUBECTL, **given)
    assert stamp.startswith("v1.36.3 ")
    others = [
        programs.stamp(programs.KUBE_APISERVER, **given),
        programs.stamp(programs.KUBECTL, **given | {"go_sum": b"others"}),
        programs.stamp(programs.KUBECTL, **given | {"go_mod": GO_MOD.encode() + b"\n"}),
    ]
    assert len({stamp, *others}) == 4


def test_the_version_is_stamped_into_kubernetes_programs_only():
    flags = " ".join(programs.build_arguments(programs.KUBECTL, version="v1.36.3"))
    assert "-X k8s.io/component-base/version.gitVersion=v1.36.3" in flags
    assert "-X" not in " ".join(programs.build_arguments(programs.ETCD, version="v3.6.8"))
