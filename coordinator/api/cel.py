"""The CEL rules of the CRD: what the API server refuses at once, with a sentence.

Every rule is mirrored in `coordinator.api.rules`, for objects that were stored before the rule.
The API server estimates what a rule may cost: lists and strings that a rule walks are bounded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from coordinator.api.base import rules

if TYPE_CHECKING:
    from pydantic.config import JsonDict

COORDINATOR_RULES: JsonDict = rules(
    (
        "!has(self.ref)",
        "spec.coordinator.ref is not supported: this operator does not run LMCacheCoordinators; "
        "give the coordinator's address as spec.coordinator.url, for example "
        "http://<name>.<namespace>.svc:9300",
        ".ref",
    ),
    (
        "has(self.url) || has(self.ref)",
        "spec.coordinator needs a url, for example http://<name>.<namespace>.svc:9300; "
        "remove spec.coordinator to run without a fleet coordinator",
        "",
    ),
)

UPDATE_RULES: JsonDict = rules(
    (
        "!has(self.rollingUpdate) || self.type == 'RollingUpdate'",
        "spec.updateStrategy.rollingUpdate has no effect with type OnDelete: remove one of them",
        ".rollingUpdate",
    ),
)

ROLLING_UPDATE_RULES: JsonDict = rules(
    (
        "!has(self.maxUnavailable) || (type(self.maxUnavailable) == int"
        " ? int(self.maxUnavailable) >= 1"
        " : string(self.maxUnavailable).matches('^([1-9][0-9]?|100)%$'))",
        "spec.updateStrategy.rollingUpdate.maxUnavailable must be a number of nodes of at least 1, "
        "or a percentage from 1% to 100%",
        ".maxUnavailable",
    ),
)

# A rule on an object with `default: {}` is checked against that {} when the CRD is made, before the
# defaults of its fields: the rules about ports therefore stand one level higher.
SPEC_RULES: JsonDict = rules(
    (
        "self.server.port != self.server.httpPort",
        "spec.server.port and spec.server.httpPort must differ: both are opened in the same pod",
        ".server.httpPort",
    ),
    (
        "!self.prometheus.enabled || (self.prometheus.port != self.server.port"
        " && self.prometheus.port != self.server.httpPort)",
        "spec.prometheus.port must differ from spec.server.port and spec.server.httpPort: all "
        "three are opened in the same pod",
        ".prometheus.port",
    ),
    (
        "!has(self.injection)",
        "spec.injection is not supported: remove it, and mount the ConfigMap "
        "<engine name>-connection into your vLLM pods instead",
        ".injection",
    ),
    (
        "!has(self.extraArgs) || self.extraArgs.all(a,"
        " !a.matches('^--(host|port|http-host|http-port)(=.*)?$'))",
        "spec.extraArgs must not set --host, --port, --http-host or --http-port: Service, probes "
        "and metrics rely on them; use spec.server.port and spec.server.httpPort",
        ".extraArgs",
    ),
    (
        "!has(self.volumeMounts) || (has(self.isolatedIPC) && self.isolatedIPC)"
        " || self.volumeMounts.all(m, !(m.mountPath in ['/dev/shm', '/dev/shm/'])"
        " || (has(self.volumes) && self.volumes.exists(v, v.name == m.name && has(v.hostPath)"
        " && v.hostPath.path in ['/dev/shm', '/dev/shm/'])))",
        "spec.volumeMounts must not mount a volume of the pod's own (such as an emptyDir) at "
        "/dev/shm: it hides the host's /dev/shm and breaks CUDA IPC; remove the mount, or set "
        "spec.isolatedIPC: true",
        ".volumeMounts",
    ),
    (
        "!has(self.env) || !has(self.l2Backend) || !has(self.l2Backend.resp)"
        " || !has(self.l2Backend.resp.authSecretRef) || self.env.all(e,"
        " !(e.name in ['LMCACHE_RESP_USERNAME', 'LMCACHE_RESP_PASSWORD']))",
        "spec.env must not set LMCACHE_RESP_USERNAME or LMCACHE_RESP_PASSWORD together with "
        "spec.l2Backend.resp.authSecretRef, which provides them: remove one of the two",
        ".env",
    ),
)

# A Service's name is a DNS label; the longest of ours is <engine>-metrics.
NAME_LIMIT = 55

# On the name itself, not on the object: a rule on the object sees a new value in every write, so
# that the API server would refuse even our status for an engine that is older than the rule.
NAME_RULES: JsonDict = rules(
    (
        f"self.size() <= {NAME_LIMIT} && self.matches('^[a-z]([-a-z0-9]*[a-z0-9])?$')",
        f"metadata.name must have at most {NAME_LIMIT} characters, begin with a lower-case letter "
        "and hold only lower-case letters, digits and '-', because Services are named after the "
        "engine: choose another name",
        "",
    ),
)
