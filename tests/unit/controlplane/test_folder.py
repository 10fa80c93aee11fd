"""Whose folder it is."""

import pytest

from hack.controlplane import audit, folder
from hack.controlplane.errors import StartFailed, TimedOut, with_log_tail
from hack.controlplane.layout import Layout
from hack.controlplane.waiting import wait_until


def test_a_folder_serves_one_control_plane_at_a_time(tmp_path):
    layout = Layout(tmp_path)
    with folder.claim(layout), pytest.raises(StartFailed, match="already runs"):
        folder.claim(layout)
    folder.claim(layout).close()


def test_leftovers_of_ours_go_and_other_files_stay(tmp_path):
    layout = Layout(tmp_path)
    folder.claim(layout).close()
    layout.tokens.write_text("old")
    (layout.logs / "etcd.log").write_text("old")
    (tmp_path / "notes.txt").write_text("mine")
    folder.claim(layout).close()
    assert not layout.tokens.exists()
    assert list(layout.logs.iterdir()) == []
    folder.clear(layout)
    assert [one.name for one in tmp_path.iterdir()] == ["notes.txt"]


def test_a_folder_that_was_ours_alone_goes_too(tmp_path):
    layout = Layout(tmp_path / "own")
    layout.folder.mkdir()
    folder.claim(layout).close()
    folder.clear(layout)
    assert not layout.folder.exists()


def test_what_others_made_is_never_taken_for_ours(tmp_path):
    layout = Layout(tmp_path)
    layout.kubeconfig.write_text("precious")
    with pytest.raises(StartFailed, match="holds kubeconfig, but no control plane made"):
        folder.claim(layout)
    assert layout.kubeconfig.read_text() == "precious"


def test_a_link_is_removed_and_what_it_points_at_is_not(tmp_path):
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("x")
    layout = Layout(tmp_path / "own")
    layout.folder.mkdir()
    folder.claim(layout).close()
    layout.etcd_data.symlink_to(precious)
    folder.clear(layout)
    assert (precious / "file").exists()


def test_the_tail_of_a_log_is_its_last_lines(tmp_path):
    log = tmp_path / "etcd.log"
    log.write_text("".join(f"line {number}\n" for number in range(50)))
    sentence, *tail = with_log_tail("It failed.", log).splitlines()
    assert sentence == "It failed. The end of etcd.log:"
    assert (tail[0], tail[-1], len(tail)) == ("  | line 30", "  | line 49", 20)
    assert with_log_tail("It failed.", tmp_path / "no.log").endswith("nothing in no.log.")


def test_waiting_ends_with_what_was_seen_last():
    seen = iter([0, 0, 3])
    assert wait_until(lambda: next(seen), within=5, what="something", every=0) == 3
    with pytest.raises(TimedOut, match=r"pods: not within 0 s \(last seen: \[\]\)"):
        wait_until(list, within=0, what="pods")


def test_audit_lines_become_events_and_an_unfinished_line_waits(tmp_path):
    log = tmp_path / "audit.log"
    assert list(audit.read(log)) == []
    log.write_text(
        '{"stage":"ResponseComplete","verb":"patch","requestURI":"/u","userAgent":"kubectl",'
        '"user":{"username":"admin"},"objectRef":{"resource":"pods","namespace":"n","name":"p",'
        '"subresource":"status"},"responseStatus":{"code":200},'
        '"requestReceivedTimestamp":"2026-01-01T00:00:00.000000Z"}\n'
        '{"stage":"ResponseComplete","verb":"get","requestURI":"/readyz"}\n'
        '{"stage":"Respo'
    )
    first, second = audit.read(log)
    assert first == audit.AuditEvent(
        stage="ResponseComplete",
        verb="patch",
        user="admin",
        user_agent="kubectl",
        group="",
        resource="pods",
        subresource="status",
        namespace="n",
        name="p",
        code=200,
        uri="/u",
        received="2026-01-01T00:00:00.000000Z",
    )
    assert (first.is_write, second.is_write) == (True, False)
