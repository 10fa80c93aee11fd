"""The table of failures: which reason, in which words, and when an old story must not be told."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from coordinator.status import failures, reasons
from coordinator.status.build import phase
from coordinator.status.containers import Container, Termination
from coordinator.status.observed import NodeRoom, Observed, Pod, Rollout
from coordinator.status.policies import ready
from coordinator.status.reasons import Reason
from coordinator.status.traces import Trace

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
CREATED = NOW - timedelta(minutes=20)
RPC = "rpc error: code = Unknown desc = "


def container(name: str = "lmcache", **values: Any) -> Container:
    return Container(name, image="r.example/x:1", memory_limit="98Gi", **values)


def pod(*containers: Container, number: int = 0, **values: Any) -> Pod:
    known = {
        "namespace": "ns",
        "name": f"my-cache-{number}",
        "uid": f"uid-{number}",
        "engine": "my-cache",
        "node": f"node-{number}",
        "host_ip": "",
        "pod_ip": "",
        "is_ready": False,
        "is_terminating": False,
        "created_at": CREATED,
        "containers": containers,
    }
    return Pod(**{**known, **values})


def trace(reason: str, message: str, *, container: str = "", at: datetime = NOW) -> Trace:
    return Trace("Pod", "ns", "my-cache-0", "uid-0", reason, container, message, at)


def observed(*pods: Pod, desired: int | None = None, **values: Any) -> Observed:
    count = sum(1 for one in pods if one.is_ready)
    wanted = len(pods) if desired is None else desired
    return Observed(
        generation=1,
        namespace="ns",
        name="my-cache",
        now=NOW,
        rollout=Rollout(desired=wanted, ready=count, updated=wanted, is_current=True),
        pods=pods,
        **values,
    )


def ended(reason: str = "Error", exit_code: int = 1, line: str = "") -> Termination:
    return Termination(reason, exit_code, line, NOW - timedelta(minutes=1))


def refusal(message: str, *, at: datetime = NOW, **values: Any) -> Observed:
    error = f'Error creating: pods "my-cache-x" is forbidden: {message}'
    return observed(desired=4, traces={"": (trace("FailedCreate", error, at=at),)}, **values)


def with_trace(one: Pod, *traces: Trace, **values: Any) -> Observed:
    return observed(one, traces={one.uid: traces}, **values)


WAITING = container(waiting="ContainerCreating")
RUNNING = container(running_since=NOW - timedelta(minutes=1), is_started=True)
BACK_OFF = container(waiting="CrashLoopBackOff", restarts=5, last=ended(line="boom"))

CASES = [
    pytest.param(
        observed(desired=4, missing_runtime_class="nvidia"),
        reasons.RUNTIME_CLASS_MISSING,
        '4 of 4 pods cannot be created: RuntimeClass "nvidia" does not exist. Install the NVIDIA',
        id="runtime-class-missing",
    ),
    pytest.param(
        refusal('pod rejected: RuntimeClass "nvidia" not found'),
        reasons.PODS_REFUSED,
        'RuntimeClass "nvidia" did not exist when they were tried last; it does now. The DaemonSet'
        " controller tries again by itself, within 17 minutes; `kubectl rollout restart"
        " daemonset/my-cache -n ns` makes it try now.",
        id="runtime-class-came-late",
    ),
    pytest.param(
        refusal(
            'violates PodSecurity "restricted:latest": privileged (container "lmcache" must not)'
        ),
        reasons.POD_SECURITY,
        'the namespace enforces Pod Security level "restricted", which forbids privileged'
        ' (container "lmcache" must not). Allow it with `kubectl label namespace ns --overwrite',
        id="pod-security",
    ),
    pytest.param(
        refusal("exceeded quota: q, requested: memory=65Gi, used: memory=1Gi, limited: memory=2Gi"),
        reasons.QUOTA_EXCEEDED,
        "ResourceQuota q, requested: memory=65Gi, used: memory=1Gi, limited: memory=2Gi. Raise it",
        id="quota",
    ),
    pytest.param(
        refusal("failed quota: q: must specify limits.cpu for: lmcache"),
        reasons.QUOTA_EXCEEDED,
        "ResourceQuota q: must specify limits.cpu for: lmcache.",
        id="quota-wants-limits",
    ),
    pytest.param(
        refusal("maximum memory usage per Container is 64Gi, but limit is 98Gi"),
        reasons.QUOTA_EXCEEDED,
        "a LimitRange says: maximum memory usage per Container is 64Gi, but limit is 98Gi.",
        id="limit-range",
    ),
    pytest.param(
        refusal("no PriorityClass with name high was found"),
        reasons.PODS_REFUSED,
        "PriorityClass high does not exist. Create it, or correct spec.priorityClassName.",
        id="priority-class",
    ),
    pytest.param(
        refusal('admission webhook "w" denied the request: no'),
        reasons.PODS_REFUSED,
        'the API server refuses them: admission webhook "w" denied the request: no. Change',
        id="webhook",
    ),
    pytest.param(
        observed(pod(RUNNING), nodes={"node-0": NodeRoom(is_ready=False)}),
        reasons.NODE_NOT_READY,
        "On 1 of 1 nodes (node-0): the node is not ready. See `kubectl describe node node-0`.",
        id="node-not-ready",
    ),
    pytest.param(
        observed(pod(rejected="Evicted: The node was low on resource: memory")),
        reasons.POD_REJECTED,
        "the kubelet does not run the pod: Evicted: The node was low on resource: memory.",
        id="evicted",
    ),
    pytest.param(
        observed(
            pod(
                unschedulable="0/4 nodes are available: 1 Insufficient memory, 3 node(s) didn't"
                " satisfy plugin(s) [NodeAffinity]. preemption: 0/4 nodes are available"
            ),
            nodes={"node-0": NodeRoom(allocatable_bytes=70 * 1024**3, requested_bytes=8 * 1024**3)},
            memory_request_bytes=65 * 1024**3,
            l1_size_gb=60.0,
        ),
        reasons.UNSCHEDULABLE,
        "On 1 of 1 nodes (node-0): the pod does not fit on its node: Insufficient memory. It needs"
        " 65Gi, and the node has 62Gi free of other pods' requests. The largest spec.l1.sizeGB that"
        " would fit is 57.",
        id="short-of-memory",
    ),
    pytest.param(
        observed(
            pod(
                unschedulable="0/2 nodes are available: 1 node(s) had untolerated taint {gpu: x}, 1"
                " node(s) didn't match Pod's node affinity/selector. preemption: no"
            )
        ),
        reasons.UNSCHEDULABLE,
        "does not fit on its node: had untolerated taint {gpu: x}. Free the node",
        id="taint",
    ),
    pytest.param(
        with_trace(
            pod(WAITING),
            trace(
                "FailedCreatePodSandBox",
                f"Failed to create pod sandbox: {RPC}failed to get sandbox runtime: no runtime for"
                ' "nvidia" is configured',
            ),
        ),
        reasons.RUNTIME_HANDLER_MISSING,
        'the container runtime has no handler "nvidia".',
        id="handler-containerd",
    ),
    pytest.param(
        with_trace(
            pod(WAITING),
            trace(
                "FailedCreatePodSandBox",
                "Failed to create pod sandbox: failed to find runtime handler nvidia from runtime"
                " list map[runc:0xc0]",
            ),
        ),
        reasons.RUNTIME_HANDLER_MISSING,
        'the container runtime has no handler "nvidia".',
        id="handler-crio",
    ),
    pytest.param(
        with_trace(
            pod(WAITING),
            trace("FailedCreatePodSandBox", f"Failed to create pod sandbox: {RPC}cni: no address"),
        ),
        reasons.SANDBOX_FAILED,
        "the pod's sandbox cannot be created: cni: no address.",
        id="sandbox",
    ),
    pytest.param(
        observed(
            pod(
                container(
                    waiting="CreateContainerConfigError", waiting_message='secret "s" not found'
                )
            )
        ),
        reasons.SECRET_MISSING,
        'the cache server cannot start: secret "s" not found. Create the Secret in namespace ns',
        id="secret-of-env",
    ),
    pytest.param(
        with_trace(
            pod(WAITING),
            trace(
                "FailedMount",
                'MountVolume.SetUp failed for volume "l2-master-key" : secret "aes" not found',
            ),
        ),
        reasons.SECRET_MISSING,
        'the pod cannot start: secret "aes" not found.',
        id="secret-of-volume",
    ),
    pytest.param(
        with_trace(
            pod(WAITING),
            trace("FailedMount", 'MountVolume.SetUp failed for volume "v" : /x is not a directory'),
        ),
        reasons.VOLUME_NOT_MOUNTED,
        "a volume cannot be mounted: MountVolume.SetUp failed",
        id="volume",
    ),
    pytest.param(
        observed(
            pod(
                container(
                    waiting="CreateContainerConfigError", waiting_message="runAsNonRoot and root"
                )
            )
        ),
        reasons.CONTAINER_CONFIG_ERROR,
        "the cache server cannot be created: runAsNonRoot and root.",
        id="container-config",
    ),
    pytest.param(
        observed(pod(RUNNING, container("gateway", waiting="ErrImagePull", waiting_message="x"))),
        reasons.GATEWAY_IMAGE_NOT_PULLABLE,
        "image r.example/x:1 of the gateway cannot be pulled: x. It is a setting of the operator",
        id="image-of-the-gateway",
    ),
    pytest.param(
        observed(pod(container("prepare", is_init=True, waiting="InvalidImageName"), WAITING)),
        reasons.IMAGE_NOT_PULLABLE,
        "image r.example/x:1 of init container prepare cannot be pulled. Check",
        id="image-of-an-init-container",
    ),
    pytest.param(
        with_trace(
            pod(
                container(
                    waiting="ImagePullBackOff",
                    waiting_message='Back-off pulling image "r.example/x:1"',
                )
            ),
            trace(
                "Failed",
                'Failed to pull image "r.example/x:1": dial tcp: lookup r.example: no such host',
                container="lmcache",
            ),
        ),
        reasons.IMAGE_NOT_PULLABLE,
        "(spec.image) cannot be pulled: dial tcp: lookup r.example: no such host. The node cannot"
        " reach the registry",
        id="image-explained-by-an-event",
    ),
    pytest.param(
        observed(
            pod(container(waiting="CrashLoopBackOff", restarts=1, last=ended("OOMKilled", 137)))
        ),
        reasons.OOM_KILLED,
        "the cache server was killed for using more memory than its limit of 98Gi (1 restart).",
        id="oom",
    ),
    pytest.param(
        with_trace(
            pod(container(waiting="CrashLoopBackOff", restarts=3, last=ended("Error", 137))),
            trace("Unhealthy", "Startup probe failed: connection refused", container="lmcache"),
        ),
        reasons.STARTUP_TIMED_OUT,
        "did not start within its budget and was killed (3 restarts): connection refused.",
        id="startup-timed-out",
    ),
    pytest.param(
        observed(
            pod(
                container(
                    waiting="CrashLoopBackOff",
                    restarts=3,
                    last=ended("StartError", 128, 'exec: "/opt/venv/bin/lmcache": no such file'),
                )
            )
        ),
        reasons.CONTAINER_NOT_STARTED,
        "the cache server cannot be started from image r.example/x:1: exec:"
        ' "/opt/venv/bin/lmcache": no such file. The image must hold',
        id="no-such-program",
    ),
    pytest.param(
        observed(pod(BACK_OFF)),
        reasons.CRASH_LOOPING,
        'the cache server exits with code 1 (5 restarts): "boom". See `kubectl logs -n ns'
        " my-cache-0 -c lmcache --previous`.",
        id="crash-loop",
    ),
    pytest.param(
        observed(pod(replace(RUNNING, restarts=2, last=ended(exit_code=0)))),
        reasons.CRASH_LOOPING,
        "the cache server exits with code 0 (2 restarts). See",
        id="crash-loop-between-two-crashes",
    ),
    pytest.param(
        with_trace(
            pod(RUNNING),
            trace("Unhealthy", "Readiness probe failed: timeout", container="lmcache"),
        ),
        reasons.READINESS_FAILING,
        "the cache server runs but does not answer: timeout. See `kubectl logs -n ns my-cache-0 -c"
        " lmcache`;",
        id="readiness",
    ),
    pytest.param(
        with_trace(
            pod(replace(RUNNING, is_ready=True), replace(RUNNING, name="gateway")),
            trace(
                "Unhealthy",
                "Readiness probe failed: HTTP probe failed with statuscode: 503",
                container="gateway",
            ),
        ),
        reasons.READINESS_FAILING,
        "the cache server runs but does not answer: its health check says that it is unhealthy. See"
        " `kubectl logs -n ns my-cache-0 -c lmcache`;",
        id="readiness-by-the-gateway",
    ),
    pytest.param(
        with_trace(
            pod(replace(RUNNING, is_ready=True), replace(RUNNING, name="gateway")),
            trace("Unhealthy", "Readiness probe failed: refused", container="gateway"),
        ),
        reasons.READINESS_FAILING,
        "the gateway runs but does not answer: refused. See `kubectl logs -n ns my-cache-0 -c"
        " gateway`;",
        id="readiness-of-the-gateway",
    ),
]


@pytest.mark.parametrize(("seen", "reason", "words"), CASES)
def test_each_trouble_has_its_reason_and_its_words(
    seen: Observed, reason: Reason, words: str
) -> None:
    verdict = ready(seen)
    assert (verdict.status, verdict.reason) == ("False", reason)
    assert words in verdict.message
    assert verdict.message.endswith((".", "…"))
    assert reason in reasons.CATALOGUE
    assert reason.remedy


READY = pod(replace(RUNNING, is_ready=True), is_ready=True, created_at=NOW)

OLD_STORIES = [
    pytest.param(
        observed(READY, traces={"": (trace("FailedCreate", "Error creating: x"),)}),
        id="pods-are-all-there",
    ),
    pytest.param(
        observed(
            replace(READY, created_at=NOW),
            desired=2,
            traces={
                "": (trace("FailedCreate", "Error creating: x", at=NOW - timedelta(seconds=1)),)
            },
        ),
        id="a-pod-was-created-since",
    ),
    pytest.param(observed(READY, missing_runtime_class="nvidia"), id="class-gone-but-pods-run"),
    pytest.param(
        with_trace(
            pod(RUNNING),
            trace("FailedCreatePodSandBox", 'no runtime for "nvidia" is configured'),
            trace("FailedMount", "x"),
        ),
        id="sandbox-came-up-since",
    ),
    pytest.param(
        with_trace(
            pod(replace(RUNNING, is_started=False)),
            trace("Unhealthy", "Startup probe failed: refused", container="lmcache"),
        ),
        id="still-starting",
    ),
    pytest.param(
        with_trace(
            pod(replace(RUNNING, is_started=False), replace(RUNNING, name="gateway")),
            trace("Unhealthy", "Readiness probe failed: statuscode: 503", container="gateway"),
        ),
        id="the-gateway-waits-for-a-server-that-starts",
    ),
    pytest.param(observed(pod(RUNNING)), id="not-ready-and-nobody-complained"),
    pytest.param(
        observed(
            pod(
                replace(
                    RUNNING,
                    running_since=NOW - timedelta(days=9),
                    restarts=7,
                    last=ended("OOMKilled", 137),
                )
            )
        ),
        id="crashes-of-long-ago",
    ),
    pytest.param(
        observed(pod(container("prepare", is_init=True, last=ended("Completed", 0)), WAITING)),
        id="an-init-container-that-did-its-job",
    ),
    pytest.param(observed(pod(BACK_OFF, is_terminating=True), desired=1), id="on-its-way-out"),
]


@pytest.mark.parametrize("seen", OLD_STORIES)
def test_what_is_over_is_not_told(seen: Observed) -> None:
    assert failures.first(seen) is None


def test_nodes_are_counted_and_the_first_few_named() -> None:
    pods = [pod(BACK_OFF, number=number) for number in range(6)]
    failure = failures.first(observed(*pods, READY, desired=8))
    assert failure is not None
    assert failure.message.startswith("On 6 of 8 nodes (node-0, node-1, node-2 and 3 more): ")


@pytest.mark.parametrize(
    ("seen", "word"),
    [
        pytest.param(observed(desired=2, missing_runtime_class="nvidia"), "Failed", id="no-class"),
        pytest.param(refusal('violates PodSecurity "baseline:v1": x'), "Failed", id="pod-security"),
        pytest.param(refusal("exceeded quota: q"), "Pending", id="a-quota-may-be-freed"),
        pytest.param(observed(pod(BACK_OFF)), "Failed", id="the-whole-fleet-crashes"),
        pytest.param(observed(pod(BACK_OFF), pod(WAITING, number=1)), "Pending", id="half-crashes"),
        pytest.param(observed(pod(BACK_OFF), replace(READY, uid="r")), "Degraded", id="some-serve"),
        pytest.param(
            observed(READY, desired=2, missing_runtime_class="x"), "Degraded", id="some-run-on"
        ),
        pytest.param(
            observed(pod(container(waiting="ErrImagePull"))), "Pending", id="a-push-may-come"
        ),
    ],
)
def test_failed_is_for_what_waiting_cannot_mend(seen: Observed, word: str) -> None:
    assert phase(seen) == word
