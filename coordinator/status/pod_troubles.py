"""Why a pod is not ready: one function for each kind of trouble. Pure.

Each looks at one pod that is not ready and says what is wrong with it, or None. What it says holds
for this pod now: an old Event or a restart of long ago must not speak for a pod in other trouble.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from coordinator.render.names import CONTAINER, GATEWAY_CONTAINER
from coordinator.status.containers import Container
from coordinator.status.evidence import Hit, before_start, ended, probe, sentence, waiting
from coordinator.status.observed import Observed, Pod

_GIB = 1024**3


def node_not_ready(observed: Observed, pod: Pod) -> Hit | None:
    """Report a node that is down: all else that is known of its pods is old."""
    room = observed.nodes.get(pod.node)
    if room is None or room.is_ready:
        return None
    return Hit("the node is not ready.", f"See `kubectl describe node {pod.node}`.")


def rejected(_observed: Observed, pod: Pod) -> Hit | None:
    """Report an eviction, or a pod that the kubelet did not admit."""
    if not pod.rejected:
        return None
    return Hit(
        f"the kubelet does not run the pod: {sentence(pod.rejected)}",
        f"See `kubectl describe node {pod.node}`.",
    )


def unschedulable(observed: Observed, pod: Pod) -> Hit | None:
    """Report what the scheduler misses, with the shortage where it is memory."""
    if not pod.unschedulable:
        return None
    shortage = "; ".join(_shortages(pod.unschedulable)) or pod.unschedulable
    fact = f"the pod does not fit on its node: {sentence(shortage)}"
    room = observed.nodes.get(pod.node)
    if "Insufficient memory" not in shortage or room is None or not observed.memory_request_bytes:
        return Hit(fact, "Free the node, or leave it out by spec.nodeSelector.")
    needs = observed.memory_request_bytes / _GIB
    free = (room.allocatable_bytes - (room.requested_bytes or 0)) / _GIB
    what = "free of other pods' requests" if room.requested_bytes is not None else "allocatable"
    size = observed.l1_size_gb
    fits = int(free - (needs - size)) if size is not None else 0
    remedy = "Free the node, or leave it out by spec.nodeSelector."
    if fits > 0:
        remedy = f"The largest spec.l1.sizeGB that would fit is {fits}. {remedy}"
    return Hit(f"{fact} It needs {_gib(needs)}, and the node has {_gib(free)} {what}.", remedy)


def runtime_handler_missing(observed: Observed, pod: Pod) -> Hit | None:
    """Report a container runtime that does not know the RuntimeClass's handler."""
    trace = before_start(observed, pod, "FailedCreatePodSandBox")
    hit = _HANDLER.search(trace.message) if trace else None
    if hit is None:
        return None
    name = next(group for group in hit.groups() if group)
    return Hit(
        f'the container runtime has no handler "{name}".',
        "Install the NVIDIA container toolkit on the node (`nvidia-ctk runtime configure`) and"
        " restart its container runtime, or set spec.runtimeClassName.",
    )


def sandbox_failed(observed: Observed, pod: Pod) -> Hit | None:
    """Report everything else that keeps a node from making a sandbox."""
    trace = before_start(observed, pod, "FailedCreatePodSandBox")
    if trace is None:
        return None
    return Hit(
        f"the pod's sandbox cannot be created: {sentence(_RPC.sub('', trace.message))}",
        "Look at the container runtime and the network plugin of the node.",
    )


def secret_missing(observed: Observed, pod: Pod) -> Hit | None:
    """Report a Secret that is missing or incomplete, whether in the environment or as a volume."""
    for container in waiting(pod, "CreateContainerConfigError"):
        if "secret" in container.waiting_message.lower():
            return _needs(pod, container.title, container.waiting_message)
    trace = before_start(observed, pod, "FailedMount")
    hit = _SECRET.search(trace.message) if trace else None
    return _needs(pod, "the pod", hit.group()) if hit else None


def volume_not_mounted(observed: Observed, pod: Pod) -> Hit | None:
    """Report a volume that cannot be mounted."""
    trace = before_start(observed, pod, "FailedMount", "FailedAttachVolume")
    if trace is None:
        return None
    return Hit(
        f"a volume cannot be mounted: {sentence(trace.message)}",
        "Correct spec.volumes, or provide on the node what is missing.",
    )


def container_config_error(_observed: Observed, pod: Pod) -> Hit | None:
    """Report what else makes a container impossible."""
    for container in waiting(pod, "CreateContainerConfigError"):
        return Hit(
            f"{container.title} cannot be created: {sentence(container.waiting_message)}",
            "Correct what it names in the spec.",
        )
    return None


def oom_killed(observed: Observed, pod: Pod) -> Hit | None:
    """Report a container that used more memory than it may."""
    for container in ended(observed, pod):
        if container.last is not None and container.last.reason == "OOMKilled":
            limit = f" of {container.memory_limit}" if container.memory_limit else ""
            return Hit(
                f"{container.title} was killed for using more memory than its limit{limit}"
                f" ({_restarts(container)}).",
                "Raise spec.resourceOverrides.limits.memory, or lower spec.l1.sizeGB.",
            )
    return None


def startup_timed_out(observed: Observed, pod: Pod) -> Hit | None:
    """Report a server that the kubelet killed because it did not come up in time."""
    for container in ended(observed, pod):
        trace = probe(observed, pod, container, "Startup probe failed")
        # 137 and 143: killed, and ended by SIGTERM. Anything else is the server's own doing.
        if (
            trace
            and container.restarts
            and container.last
            and container.last.exit_code in (137, 143)
        ):
            return Hit(
                f"{container.title} did not start within its budget and was killed"
                f" ({_restarts(container)}): {sentence(trace)}",
                f"See `{_logs(pod, container)}`; pinning a large spec.l1.sizeGB is slow on a node"
                " that is short of memory.",
            )
    return None


def container_not_started(observed: Observed, pod: Pod) -> Hit | None:
    """Report a program that the container runtime cannot start."""
    for container in waiting(pod, "CreateContainerError", "RunContainerError"):
        return _not_started(container, container.waiting_message)
    for container in ended(observed, pod):
        if container.last and container.last.reason in ("StartError", "ContainerCannotRun"):
            return _not_started(container, container.last.last_line)
    return None


def crash_looping(observed: Observed, pod: Pod) -> Hit | None:
    """Report a container that ends again and again, with the last thing it said."""
    for container in ended(observed, pod):
        if container.last is None or not (
            container.waiting == "CrashLoopBackOff" or container.restarts >= 2
        ):
            continue
        said = f': "{container.last.last_line}"' if container.last.last_line else ""
        return Hit(
            f"{container.title} exits with code {container.last.exit_code}"
            f" ({_restarts(container)}){said}.",
            f"See `{_logs(pod, container)}`.",
        )
    return None


def readiness_failing(observed: Observed, pod: Pod) -> Hit | None:
    """Report a server that runs and does not answer."""
    if any(
        container.name == CONTAINER and not container.is_started for container in pod.containers
    ):
        # The gateway beside it is up long before: it says no until the server has started.
        return None
    for container in pod.containers:
        if container.running_since is None or not container.is_started or container.is_ready:
            continue
        said = probe(observed, pod, container, "Readiness probe failed")
        if not said:
            continue
        # An answer with a bad status is the gateway's, about the server; silence is its own.
        about_server = container.name == GATEWAY_CONTAINER and "statuscode" in said
        if about_server:
            said = _GATEWAY_SAYS.get(said[-3:], said)
        who = "the cache server" if about_server else container.title
        name = CONTAINER if about_server else container.name
        return Hit(
            f"{who} runs but does not answer: {sentence(said)}",
            f"See `kubectl logs -n {pod.namespace} {pod.name} -c {name}`; it keeps its cache until"
            " you delete the pod.",
        )
    return None


# The kubelet's Event has the status code of the gateway's answer, not its sentence; see
# nodeagent.gateway.pages.
_GATEWAY_SAYS = {
    "502": "its health check is refused",
    "503": "its health check says that it is unhealthy",
    "504": "its health check has no answer within 2 s, so it hangs",
}
_HANDLER = re.compile(
    r"no runtime for \"([^\"]+)\" is configured"
    r"|find runtime handler (\S+)"
    r"|[Rr]untime ?[Hh]andler \"?([\w.-]+)\"? (?:is )?not (?:supported|found|configured)"
)
_SECRET = re.compile(
    r"secret \"[^\"]+\" not found|references non-existent secret key: \S+", re.IGNORECASE
)
_RPC = re.compile(r"^Failed to create pod sandbox: |rpc error: code = \w+ desc = ")
_ELSEWHERE = re.compile(r"didn't (satisfy plugin|match Pod's node affinity)")


def _shortages(sentence: str) -> Iterator[str]:
    """Yield what the scheduler says about the one node that the pod is for.

    A pod of a DaemonSet is for one node, so all the others "didn't satisfy" its node affinity.
    """
    reasons = sentence.partition("nodes are available: ")[2].partition(". ")[0].rstrip(".")
    for reason in reasons.split(", ") if reasons else ():
        if not _ELSEWHERE.search(reason):
            yield re.sub(r"^\d+ (node\(s\) )?", "", reason)


def _needs(pod: Pod, who: str, said: str) -> Hit:
    return Hit(
        f"{who} cannot start: {sentence(said)}",
        f"Create the Secret in namespace {pod.namespace}, or correct the reference in the spec; the"
        " pod then starts by itself.",
    )


def _not_started(container: Container, said: str) -> Hit:
    return Hit(
        f"{container.title} cannot be started from image {container.image}:"
        f" {sentence(said or 'the container runtime gives no reason')}",
        "The image must hold /opt/venv/bin/lmcache: use lmcache/vllm-openai or one made from it."
        if container.name == CONTAINER
        else "Correct its command or image in the spec.",
    )


def _logs(pod: Pod, container: Container) -> str:
    return f"kubectl logs -n {pod.namespace} {pod.name} -c {container.name} --previous"


def _restarts(container: Container) -> str:
    return f"{container.restarts} restart{'s' * (container.restarts != 1)}"


def _gib(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0") + "Gi"
