"""Every reason that the coordinator writes into a condition: its meaning and its remedy.

The reasons of the node agents stand in the agents' own catalogue (nodeagent/reasons.py); the
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
NODES_HEALTHY = Reason("NodesHealthy", "Every check on every node passed.")
CHECKS_PASSED = Reason("ChecksPassed", "Every check on this node passed.")
GPUS_VISIBLE = Reason("GPUsVisible", "NVML sees every GPU, and none is lost.")
SHARED_MEMORY_READY = Reason(
    "SharedMemoryReady", "The cache servers share /dev/shm as their IPC mode needs it."
)
L1_MEMORY_READY = Reason("L1MemoryReady", "The nodes have the memory that L1 needs.")

CATALOGUE: tuple[Reason, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Reason)
)
