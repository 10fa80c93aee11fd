"""Finding and building programs, with a fake `go` in the place of the real one."""

import stat
import threading
from pathlib import Path

import pytest

from hack.controlplane import binaries, programs
from hack.controlplane.__main__ import main
from hack.controlplane.errors import BuildFailed
from hack.controlplane.progress import Progress

GO_MOD = """\
module controlplane/kubernetes

go 1.26.0

require k8s.io/kubernetes v1.36.3
"""

FAKE_GO = """\
#!/bin/sh
case "$1" in
env) echo go1.26.8 ;;
build)
    echo "$$ $*" >> "$(dirname "$0")/calls"
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\necho Client Version: v1.36.3\\n' > "$2"
    chmod +x "$2"
    ;;
esac
"""


def _script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Return places in which there is nothing yet, on a PATH with a fake `go` and a shell."""
    sources = tmp_path / "sources"
    (sources / "kubernetes").mkdir(parents=True)
    (sources / "kubernetes" / "go.mod").write_text(GO_MOD)
    (sources / "kubernetes" / "go.sum").write_text("sums\n")
    _script(tmp_path / "tools" / "go", FAKE_GO)
    monkeypatch.setenv("PATH", f"{tmp_path / 'tools'}:/usr/bin:/bin")
    return binaries.Places(sources=sources, own=tmp_path / "bin", search_path=str(tmp_path))


def _calls(tmp_path: Path) -> list[str]:
    calls = tmp_path / "tools" / "calls"
    return calls.read_text().splitlines() if calls.exists() else []


def test_what_is_missing_is_built_once(places, tmp_path):
    lines: list[str] = []
    progress = Progress(line=lines.append)
    for _ in range(2):
        found = binaries.provide([programs.KUBECTL], places=places, progress=progress)
        assert found[programs.KUBECTL] == places.own / "kubectl"
    assert len(_calls(tmp_path)) == 1
    assert lines == ["building kubectl (1/1) …", "building kubectl (1/1) … 0 s"]
    left = {one.name for one in places.own.iterdir()}
    assert left == {"kubectl", ".kubectl.stamp", ".kubectl.log", ".lock"}


@pytest.mark.parametrize("changed", ["go.mod", "go.sum"])
def test_a_stale_program_is_built_again(places, tmp_path, changed):
    binaries.provide([programs.KUBECTL], places=places)
    path = places.sources / "kubernetes" / changed
    path.write_text(path.read_text() + "// changed\n")
    assert binaries.missing([programs.KUBECTL], places=places) == ("kubectl",)
    binaries.provide([programs.KUBECTL], places=places)
    assert len(_calls(tmp_path)) == 2


def test_an_unfinished_build_is_not_taken_for_a_program(places):
    places.own.mkdir()
    (places.own / "kubectl").write_text("half of it")
    assert binaries.find(programs.KUBECTL, places=places) is None


def test_two_at_once_build_once(places, tmp_path):
    threads = [
        threading.Thread(
            target=binaries.provide, args=([programs.KUBECTL],), kwargs={"places": places}
        )
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(_calls(tmp_path)) == 1


def test_a_fitting_program_on_the_path_saves_the_build(places, tmp_path):
    there = _script(tmp_path / "kubectl", "#!/bin/sh\necho Client Version: v1.36.9\n")
    assert binaries.provide([programs.KUBECTL], places=places)[programs.KUBECTL] == there
    _script(tmp_path / "kubectl", "#!/bin/sh\necho Client Version: v1.30.1\n")
    assert binaries.find(programs.KUBECTL, places=places) is None
    assert _calls(tmp_path) == []


def test_assets_come_first_and_a_misfit_is_told(places, tmp_path):
    assets = tmp_path / "assets"
    with_assets = binaries.Places(
        sources=places.sources, own=places.own, assets=assets, search_path=""
    )
    asset = _script(assets / "kubectl", "#!/bin/sh\necho Client Version: v1.36.0\n")
    binaries.provide([programs.KUBECTL], places=places)
    assert binaries.find(programs.KUBECTL, places=with_assets) == asset
    _script(assets / "kubectl", "#!/bin/sh\necho Client Version: v1.31.0\n")
    lines: list[str] = []
    found = binaries.find(
        programs.KUBECTL, places=with_assets, progress=Progress(line=lines.append)
    )
    assert found == places.own / "kubectl"
    (line,) = lines
    assert "v1.31.0" in line
    assert "v1.36.3 is wanted" in line


def test_a_failed_build_tells_the_end_of_what_go_said(places, tmp_path):
    noise = "for n in $(seq 30); do echo line $n of the trouble; done"
    _script(
        tmp_path / "tools" / "go",
        f'#!/bin/sh\ncase "$1" in env) echo go1.26.8 ;; *) {noise}; exit 3 ;; esac\n',
    )
    with pytest.raises(BuildFailed) as caught:
        binaries.provide([programs.KUBECTL], places=places)
    sentence, *tail = str(caught.value).splitlines()
    assert sentence.startswith("Building kubectl failed (go ended with 3).")
    assert tail[0] == "  | line 11 of the trouble"
    assert tail[-1] == "  | line 30 of the trouble"
    assert not (places.own / "kubectl").exists()


def test_without_go_a_sentence_says_what_to_do(places, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    monkeypatch.setattr(binaries.Places, "from_environment", lambda: places)
    assert main(["build", "kubectl"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("Go is needed to build kubectl, and there is no `go` on PATH")
    assert "install Go 1.26 or newer" in line
    assert "KUBEBUILDER_ASSETS" in line


@pytest.mark.parametrize(
    "script",
    [
        "#!/bin/sh\necho go1.22.1\n",
        "#!/bin/sh\necho 'go: go.mod requires go >= 1.26.0 (running go 1.22.1)' >&2\nexit 1\n",
    ],
    ids=["older", "older, and says so"],
)
def test_too_old_a_go_is_refused_before_building(places, tmp_path, script):
    _script(tmp_path / "tools" / "go", script)
    with pytest.raises(
        BuildFailed, match=r"Go 1\.26 or newer is needed to build kubectl.*1\.22\.1"
    ):
        binaries.provide([programs.KUBECTL], places=places)


def test_an_unknown_program_is_a_sentence_too(capsys):
    assert main(["build", "kubelet"]) == 1
    assert "kubelet: not a program of the control plane" in capsys.readouterr().err


def _with_kwok(places: binaries.Places, tmp_path: Path) -> Path:
    (places.sources / "kwok").mkdir()
    (places.sources / "kwok" / "go.mod").write_text("go 1.26.0\nrequire sigs.k8s.io/kwok v0.8.0\n")
    (places.sources / "kwok" / "go.sum").write_text("")
    return _script(tmp_path / "kwok", "#!/bin/sh\necho kwok version v0.8.1 go1.26.8\n")


def test_the_stages_of_kwok_are_copied_once(places, tmp_path):
    _with_kwok(places, tmp_path)
    module = tmp_path / "module"
    for stage in programs.KWOK_STAGES:
        path = module / "kustomize" / "stage" / stage
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"stage {path.name}")
    _script(
        tmp_path / "tools" / "go",
        f'#!/bin/sh\ncase "$1" in env) echo go1.26.8 ;; list) echo {module} ;; esac\n',
    )
    first = binaries.provide([programs.KWOK], places=places).kwok_stages
    (tmp_path / "tools" / "go").unlink()
    assert binaries.provide([programs.KWOK], places=places).kwok_stages == first
    assert len(first) == len(programs.KWOK_STAGES)
    assert first[0].read_text() == f"stage {first[0].name}"


def test_kwok_without_stages_and_without_go_is_a_sentence(places, tmp_path):
    _with_kwok(places, tmp_path)
    (tmp_path / "tools" / "go").unlink()
    with pytest.raises(BuildFailed, match=r"kwok is there, but not the stages it plays"):
        binaries.provide([programs.KWOK], places=places)
