"""What is kept of Pods and Events, and what is not let through."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from coordinator.status.containers import containers_from, one_line
from coordinator.status.observed import pod_from
from coordinator.status.traces import is_kept, trace_from


def manifest(status: dict[str, Any], **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "namespace": "ns",
            "name": "p",
            "uid": "u",
            "creationTimestamp": "2026-11-24T12:00:00Z",
        },
        "spec": {"containers": [{"name": "lmcache", "image": "i"}], **spec},
        "status": status,
    }


def test_the_newest_end_counts_and_only_its_last_line() -> None:
    ended = {
        "exitCode": 1,
        "reason": "Error",
        "message": "one\ntwo \n\n",
        "finishedAt": "2026-11-24T12:00:00Z",
    }
    status = {
        "name": "lmcache",
        "restartCount": 2,
        "state": {"terminated": ended},
        "lastState": {"terminated": {**ended, "exitCode": 9}},
    }
    (container,) = containers_from(manifest({"containerStatuses": [status]}))
    assert container.last is not None
    assert (container.last.exit_code, container.last.last_line) == (1, "two")
    assert container.restarts == 2


@pytest.mark.parametrize(
    ("status", "unschedulable", "rejected"),
    [
        pytest.param({}, "", "", id="new"),
        pytest.param(
            {
                "conditions": [
                    {
                        "type": "PodScheduled",
                        "status": "False",
                        "reason": "Unschedulable",
                        "message": "0/1 nodes",
                    }
                ]
            },
            "0/1 nodes",
            "",
            id="unschedulable",
        ),
        pytest.param(
            {"phase": "Failed", "reason": "Evicted", "message": "low on memory"},
            "",
            "Evicted: low on memory",
            id="evicted",
        ),
        pytest.param({"phase": "Failed", "reason": "NodeLost"}, "", "NodeLost", id="no-message"),
    ],
)
def test_a_pods_own_troubles(status: dict[str, Any], unschedulable: str, rejected: str) -> None:
    pod = pod_from(manifest(status))
    assert (pod.unschedulable, pod.rejected) == (unschedulable, rejected)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("redis://me:pw@host:1/0", "redis://***@host:1/0", id="url"),
        pytest.param("password=pw, retry", "password=***, retry", id="assignment"),
        pytest.param('"LMCACHE_RESP_PASSWORD": "a b"', '"LMCACHE_RESP_PASSWORD": ***', id="json"),
        pytest.param('secret "s" not found', 'secret "s" not found', id="a-secrets-name-stays"),
        pytest.param("a\n  b\t c", "a b c", id="one-line"),
        pytest.param("x" * 500, "x" * 399 + "…", id="bounded"),
    ],
)
def test_text_is_one_bounded_line_without_credentials(text: str, shown: str) -> None:
    assert one_line(text) == shown


def event(kind: str, reason: str, path: str = "", **rest: Any) -> dict[str, Any]:
    about = {"kind": kind, "namespace": "ns", "name": "n", "uid": "u", "fieldPath": path}
    return {"metadata": {"name": "e"}, "involvedObject": about, "reason": reason, **rest}


@pytest.mark.parametrize(
    ("seen", "kept"),
    [
        pytest.param(event("DaemonSet", "FailedCreate"), True, id="create"),
        pytest.param(event("DaemonSet", "FailedDaemonPod"), False, id="other"),
        pytest.param(event("Pod", "FailedCreatePodSandBox"), True, id="sandbox"),
        pytest.param(event("Pod", "FailedScheduling"), False, id="stands-in-the-pod"),
        pytest.param(event("Pod", "Unhealthy", "spec.containers{lmcache}"), True, id="server"),
        pytest.param(event("Pod", "Unhealthy", "spec.containers{gateway}"), True, id="gateway"),
        pytest.param(event("Pod", "Unhealthy", "spec.containers{nginx}"), False, id="others"),
        pytest.param(event("Pod", "Unhealthy"), False, id="no-container"),
    ],
)
def test_only_events_that_explain_are_kept(seen: dict[str, Any], kept: bool) -> None:
    assert is_kept(seen) is kept


@pytest.mark.parametrize(
    "times",
    [
        pytest.param({"lastTimestamp": "2026-11-24T12:00:00Z"}, id="core"),
        pytest.param(
            {"eventTime": "2026-11-24T12:00:00.000000Z", "lastTimestamp": None}, id="events-api"
        ),
        pytest.param(
            {
                "eventTime": "2026-11-24T11:00:00.000000Z",
                "series": {"count": 2, "lastObservedTime": "2026-11-24T12:00:00.000000Z"},
            },
            id="series",
        ),
    ],
)
def test_an_event_counts_from_its_last_time(times: dict[str, Any]) -> None:
    trace = trace_from(event("Pod", "Unhealthy", "spec.containers{lmcache}", **times))
    assert trace.at == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert trace.container == "lmcache"
