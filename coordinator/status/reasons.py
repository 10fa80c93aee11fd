"""Every reason that the coordinator writes into a condition: its meaning and its remedy.

The reasons of the node agents stand in the agents' own catalogue (nodeagent/catalogue); the
documentation is generated from both.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """A CamelCase reason, what it means, and what a person should do about it."""

    name: str
    meaning: str
    remedy: str = ""


PENDING = Reason("Pending", "The operator has not looked at this engine yet.")
VALID = Reason("Valid", "The spec is valid.")
VALIDATION_FAILED = Reason(
    "ValidationFailed",
    "The spec cannot be used; what ran before keeps running unchanged.",
    "Change the fields that the message names.",
)
CONFLICT = Reason(
    "Conflict",
    "An object of a name that the engine needs exists and belongs to somebody else.",
    "Delete or rename the object that the message names, or give the engine another name.",
)
OBJECT_REFUSED = Reason(
    "ObjectRefused",
    "The API server refuses an object that the engine needs.",
    "Read the server's sentence in the message; an admission policy may have to be changed.",
)
CREDENTIAL_MISSING = Reason(
    "CredentialMissing",
    "The Secret that spec.l2Backend.resp.authSecretRef names does not exist; what ran before keeps"
    " running.",
    "Create the Secret with the key password, or correct the reference.",
)
CREDENTIAL_INCOMPLETE = Reason(
    "CredentialIncomplete",
    "The Secret that spec.l2Backend.resp.authSecretRef names has no password; what ran before keeps"
    " running.",
    "Add the key password; username is optional.",
)
CREDENTIAL_FORBIDDEN = Reason(
    "CredentialForbidden",
    "The operator may not read the Secret that spec.l2Backend.resp.authSecretRef names.",
    "Give the operator's ServiceAccount the verb get on that Secret, or name another one.",
)
NO_MATCHING_NODES = Reason(
    "NoMatchingNodes",
    "No node fits the engine's node selector, affinity and tolerations.",
    "Compare spec.nodeSelector with `kubectl get nodes --show-labels`.",
)
RUNTIME_CLASS_MISSING = Reason(
    "RuntimeClassMissing",
    "The cluster has no RuntimeClass of the name that the pods ask for, so no pod can be created.",
    "Install the NVIDIA GPU operator or create the RuntimeClass, or set spec.runtimeClassName"
    ' ("" leaves it out).',
)
POD_SECURITY = Reason(
    "ForbiddenByPodSecurity",
    "The namespace's Pod Security level forbids what the pods need, so no pod can be created.",
    "Label the namespace pod-security.kubernetes.io/enforce=privileged, or set what the message"
    " names in the spec (spec.privileged, spec.hostIPC, spec.isolatedIPC).",
)
QUOTA_EXCEEDED = Reason(
    "QuotaExceeded",
    "A ResourceQuota or LimitRange of the namespace leaves no room for another pod.",
    "Raise the quota, lower spec.l1.sizeGB, or set spec.resourceOverrides.",
)
PODS_REFUSED = Reason(
    "PodsRefused",
    "The API server refuses to create the pods.",
    "Follow the server's sentence in the message: a ServiceAccount or PriorityClass may be missing,"
    " or an admission policy may have to be changed.",
)
NODE_NOT_READY = Reason(
    "NodeNotReady",
    "A node of the engine is not ready, so nothing certain is known of its cache server.",
    "kubectl describe node NODE",
)
POD_REJECTED = Reason(
    "PodRejected",
    "A kubelet has evicted a pod or does not admit it.",
    "Free what the message names on that node.",
)
UNSCHEDULABLE = Reason(
    "Unschedulable",
    "A pod does not fit on its node.",
    "Lower spec.l1.sizeGB or spec.resourceOverrides.requests, free the node, add tolerations, or"
    " leave the node out by spec.nodeSelector.",
)
RUNTIME_HANDLER_MISSING = Reason(
    "RuntimeHandlerMissing",
    "The RuntimeClass exists, but the container runtime of a node has no such handler.",
    "Install the NVIDIA container toolkit on the node and restart its container runtime.",
)
SANDBOX_FAILED = Reason(
    "SandboxFailed",
    "A node cannot create the pod's sandbox: its network or container runtime is in trouble.",
    "Look at the runtime and the network plugin of that node.",
)
SECRET_MISSING = Reason(
    "SecretMissing",
    "A Secret that the pods use is missing, or lacks the key that they need.",
    "Create the Secret, or correct the reference in the spec.",
)
VOLUME_NOT_MOUNTED = Reason(
    "VolumeNotMounted",
    "A volume of the pod cannot be mounted on a node.",
    "Correct spec.volumes, or provide on the node what the message names.",
)
CONTAINER_CONFIG_ERROR = Reason(
    "ContainerConfigError",
    "A container cannot be created as the spec describes it.",
    "Correct what the message names in the spec.",
)
IMAGE_NOT_PULLABLE = Reason(
    "ImageNotPullable",
    "A node cannot pull the image of a container.",
    "Check spec.image, the registry, and spec.imagePullSecrets.",
)
GATEWAY_IMAGE_NOT_PULLABLE = Reason(
    "GatewayImageNotPullable",
    "A node cannot pull the image of the gateway, which is a setting of the operator.",
    "Check the gateway's image in the operator's settings, and its pull secret.",
)
OOM_KILLED = Reason(
    "OOMKilled",
    "A container was killed because it used more memory than its limit.",
    "Raise spec.resourceOverrides.limits.memory, or lower spec.l1.sizeGB.",
)
STARTUP_TIMED_OUT = Reason(
    "StartupTimedOut",
    "A cache server was killed because it did not open its port within the start-up budget.",
    "Read its log: pinning a large L1 is slow on a node that is short of memory.",
)
CONTAINER_NOT_STARTED = Reason(
    "ContainerNotStarted",
    "The container runtime cannot start a container.",
    "The image may lack the program; follow the runtime's sentence in the message.",
)
CRASH_LOOPING = Reason(
    "CrashLooping",
    "A container exits again and again.",
    "kubectl logs POD -c CONTAINER --previous",
)
READINESS_FAILING = Reason(
    "ReadinessFailing",
    "A cache server runs but does not answer.",
    "Read its log; a server that hangs is not restarted by itself, because its cache would be lost:"
    " delete the pod to restart it.",
)
DAEMON_SET_MISSING = Reason("DaemonSetMissing", "The DaemonSet has not been created yet.")
ROLLING_OUT = Reason("RollingOut", "Pods are being replaced after a change of the spec.")
INSTANCES_NOT_READY = Reason(
    "InstancesNotReady",
    "Some cache servers are not ready.",
    "kubectl describe pods -l app.kubernetes.io/instance=ENGINE",
)
NODE_FAILING = Reason(
    "NodeFailing",
    "On at least one node of the engine the cache cannot work, as its agent has found.",
    "Follow the remedy in the node's line of status.nodes.",
)
ALL_READY = Reason("AllReady", "Every node that should has a ready cache server.")
NOT_ALL_READY = Reason("NotAllReady", "At least one cache server is missing or not ready.")
AT_LEAST_ONE_READY = Reason("AtLeastOneReady", "At least one cache server is ready.")
NO_READY_INSTANCES = Reason("NoReadyInstances", "No cache server is ready.")
AGENTS_DISABLED = Reason(
    "AgentsDisabled",
    "No node agent is installed, so nothing is known about the nodes.",
    "Install the agent DaemonSet (deploy/) to have the nodes checked.",
)
NO_NODES = Reason("NoNodes", "The engine runs on no node yet.")
AGENT_STARTING = Reason(
    "AgentStarting", "A node's agent has not called yet; a new node has two minutes to do so."
)
AGENT_SILENT = Reason(
    "AgentSilent",
    "A node's agent has not called for three intervals, so nothing is known about the node.",
    "kubectl get pods -n lmcache-operator-system -o wide, and the log of the agent on that node.",
)
NODES_WARNING = Reason(
    "NodesWarning", "Some nodes work, but something on them will not for long, or not well."
)
CHECKS_UNKNOWN = Reason(
    "ChecksUnknown", "Some checks could not be carried out; the message says what is missing."
)
NOT_APPLICABLE = Reason(
    "NotApplicable",
    "The check means nothing on these nodes, as NVML does on nodes without NVIDIA GPUs.",
)
NODES_HEALTHY = Reason("NodesHealthy", "Every check on every node passed.")
CHECKS_PASSED = Reason("ChecksPassed", "Every check on this node passed.")
GPUS_VISIBLE = Reason("GPUsVisible", "NVML sees every GPU, and none is lost.")
SHARED_MEMORY_READY = Reason(
    "SharedMemoryReady", "The cache servers share /dev/shm as their IPC mode needs it."
)
L1_MEMORY_READY = Reason("L1MemoryReady", "The nodes have the memory that L1 needs.")

# Reasons of Events that are no condition's.
READY = Reason("Ready", "Every node that should has a ready cache server, and none is failing.")
NODE_RECOVERED = Reason("NodeRecovered", "Every check on a node passes again.")
NODES_FAILING = Reason(
    "NodesFailing",
    "More nodes have begun to fail at once than are named one by one.",
    "See status.nodes: kubectl describe lmc NAME.",
)
FOREIGN_FIELDS_REMOVED = Reason(
    "ForeignFieldsRemoved",
    "Somebody else had added something to a child that is the operator's alone, such as a volume to"
    " its pod spec; it has been removed.",
    "Set it in the engine's spec instead.",
)

CATALOGUE: tuple[Reason, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Reason)
)
