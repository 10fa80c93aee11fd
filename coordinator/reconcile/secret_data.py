"""What a credential Secret says, and the copy that should stand beside the engine. Pure.

No function here may put a value, a length or another key's name into a sentence: whoever may read
the engine's status need not be allowed to read the Secret.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from coordinator.api.engine import Engine
from coordinator.kube.resources import Manifest, ObjectKey
from coordinator.reconcile import drift
from coordinator.render.names import credential_name
from coordinator.render.pod import RESP_AUTH_REVISION
from coordinator.render.secret import credential_copy
from coordinator.status import reasons
from coordinator.status.observed import Trouble

COPIED_FROM = "lmcache.lmcache.ai/copied-from"
_KEEPS = "What ran before keeps running; the Secret is looked at again every 30 s."


@dataclass(frozen=True, slots=True)
class Credential:
    """A password and perhaps a user name. Neither is ever shown, not even by a traceback."""

    password: bytes = field(repr=False)
    username: bytes | None = field(default=None, repr=False)


def source_of(engine: Engine) -> ObjectKey | None:
    """Return the Secret that the engine names, None where it names none."""
    backend = engine.spec.l2_backend
    if backend is None or backend.resp is None or backend.resp.auth_secret_ref is None:
        return None
    reference = backend.resp.auth_secret_ref
    return ObjectKey(reference.namespace or engine.namespace, reference.name)


def copy_of(engine: Engine) -> ObjectKey:
    """Return where the managed copy stands."""
    return ObjectKey(engine.namespace, credential_name(engine.name))


def credential_in(secret: Mapping[str, Any]) -> Credential | None:
    """Return what a Secret holds, None where the password is missing or empty."""
    data = secret.get("data") or {}
    password = base64.b64decode(data.get("password") or "")
    if not password:
        return None
    # An empty user name is none: Redis without ACLs knows a password only.
    return Credential(password, base64.b64decode(data.get("username") or "") or None)


def wanted_copy(
    engine: Engine, credential: Credential, source: ObjectKey, *, revision: str
) -> Manifest:
    """Return the copy with what we remember on it: where it is from, and which one it is."""
    manifest = credential_copy(engine, password=credential.password, username=credential.username)
    manifest["metadata"]["annotations"] = {
        COPIED_FROM: str(source),
        RESP_AUTH_REVISION: revision,
    }
    return manifest


def revision_of(copy: Mapping[str, Any]) -> str:
    """Return the revision that stands on a copy, empty where none does."""
    return str((copy["metadata"].get("annotations") or {}).get(RESP_AUTH_REVISION, ""))


def is_copy_of(copy: Mapping[str, Any], source: ObjectKey) -> bool:
    """Tell whether a copy was made from this Secret."""
    return (copy["metadata"].get("annotations") or {}).get(COPIED_FROM) == str(source)


def holds(copy: Mapping[str, Any], credential: Credential) -> bool:
    """Tell whether a copy says exactly this."""
    return credential_in(copy) == credential and not surplus_keys(copy, credential)


def surplus_keys(copy: Mapping[str, Any], credential: Credential) -> tuple[str, ...]:
    """Return the keys of a copy that should not be there.

    Forced apply leaves what others have put there, and a `username` that the source no longer has
    would go on reaching the servers.
    """
    kept = {"password"} | ({"username"} if credential.username is not None else set())
    return tuple(sorted(set(copy.get("data") or {}) - kept))


def is_right(copy: Mapping[str, Any], wanted: Mapping[str, Any], credential: Credential) -> bool:
    """Tell whether a copy needs no write."""
    return holds(copy, credential) and drift.is_covered(copy, wanted)


def missing(source: ObjectKey) -> Trouble:
    """Say that the source does not exist."""
    return Trouble(
        reasons.CREDENTIAL_MISSING,
        f"Secret {source.name} in namespace {source.namespace} does not exist, but"
        " spec.l2Backend.resp.authSecretRef names it: correct the reference, or create it with"
        f" `kubectl create secret generic {source.name} -n {source.namespace}"
        f" --from-file=password=FILE`. {_KEEPS}",
    )


def incomplete(source: ObjectKey) -> Trouble:
    """Say that the source has no password."""
    return Trouble(
        reasons.CREDENTIAL_INCOMPLETE,
        f"Secret {source.name} in namespace {source.namespace} has no key password, or it is empty:"
        f" add it; the key username is optional. {_KEEPS}",
    )


def forbidden(source: ObjectKey) -> Trouble:
    """Say that the operator may not read the source."""
    return Trouble(
        reasons.CREDENTIAL_FORBIDDEN,
        f"The operator may not read Secret {source.name} in namespace {source.namespace}: its"
        " ServiceAccount needs the verb get on it (deploy/base/rbac.yaml), or"
        f" spec.l2Backend.resp.authSecretRef must name another one. {_KEEPS}",
    )
