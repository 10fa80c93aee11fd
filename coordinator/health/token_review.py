"""A caller's token: what can be said about it from outside, and what the API server says. Pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

AUDIENCE = "lmcache-coordinator"
AGENT_ACCOUNT = "lmcache-node-agent"
# Bound tokens have about 1.3 kB; gRPC refuses headers beyond 16 KiB by itself.
MAX_TOKEN = 8192
_EXTRA = "authentication.kubernetes.io/"


class TokenRefused(Exception):
    """A token speaks for no node; `reason` is a word for metrics, the message one sentence."""

    def __init__(self, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class AgentPod:
    """Who a token speaks for. `node` is empty where the token does not say it."""

    namespace: str
    name: str
    uid: str
    node: str


def token_of(metadata: Sequence[tuple[str, Any]] | None) -> str:
    """Return the bearer token of a call's metadata. Raises TokenRefused."""
    values = [value for key, value in metadata or () if key == "authorization"]
    if not values:
        raise TokenRefused("no_token", "no token: set --token-file")
    scheme, _, token = str(values[0]).partition(" ")
    if len(values) > 1 or scheme.lower() != "bearer" or not token.strip():
        raise TokenRefused("no_token", "the authorization header holds no bearer token")
    return token.strip()


def digest(token: str) -> bytes:
    """Return what a token is remembered by: never itself."""
    return hashlib.sha256(token.encode(errors="replace")).digest()


def look(token: str, *, now: float) -> float | None:
    """Refuse without the API server what it would refuse anyway; returns the token's end.

    None where it says none. What a token says about itself is believed only against it: a stranger
    who fills the API server's time has to make tokens that look right. Raises TokenRefused.
    """
    if len(token) > MAX_TOKEN:
        raise TokenRefused("malformed_token", "the token is too long")
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    except (ValueError, binascii.Error, RecursionError) as error:
        raise TokenRefused("malformed_token", "this is no ServiceAccount token") from error
    if not isinstance(claims, dict):
        raise TokenRefused("malformed_token", "this is no ServiceAccount token")
    audiences = claims.get("aud")
    if AUDIENCE not in (audiences if isinstance(audiences, list) else [audiences]):
        raise TokenRefused("wrong_audience", f"the token is not for the audience {AUDIENCE}")
    end = claims.get("exp")
    if not isinstance(end, int | float):
        return None
    if end <= now:
        raise TokenRefused("expired_token", "the token has expired")
    return float(end)


def review_of(token: str) -> dict[str, Any]:
    """Return the TokenReview to ask."""
    return {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "metadata": {},
        "spec": {"token": token, "audiences": [AUDIENCE]},
    }


def agent_of(review: Mapping[str, Any], *, namespace: str) -> AgentPod:
    """Return the agent's pod that a TokenReview confirms. Raises TokenRefused."""
    status = review.get("status") or {}
    if not status.get("authenticated"):
        raise TokenRefused("unauthenticated", "the API server does not accept the token")
    if AUDIENCE not in (status.get("audiences") or ()):
        raise TokenRefused("wrong_audience", f"the token is not for the audience {AUDIENCE}")
    user = status.get("user") or {}
    if user.get("username") != f"system:serviceaccount:{namespace}:{AGENT_ACCOUNT}":
        raise TokenRefused(
            "wrong_account", f"the token is not of ServiceAccount {namespace}/{AGENT_ACCOUNT}"
        )
    extra = user.get("extra") or {}
    pod, uid = _one(extra, "pod-name"), _one(extra, "pod-uid")
    if not pod or not uid:
        raise TokenRefused("no_pod", "the token is not bound to a pod")
    return AgentPod(namespace, pod, uid, _one(extra, "node-name"))


def node_of_pod(agent: AgentPod, pod: Mapping[str, Any]) -> str:
    """Return the node of a pod that is the token's. Raises TokenRefused.

    For API servers before 1.30, whose tokens do not name the node.
    """
    if pod["metadata"].get("uid") != agent.uid:
        raise TokenRefused("no_pod", "the pod of the token is gone")
    node = (pod.get("spec") or {}).get("nodeName") or ""
    if not node:
        raise TokenRefused("no_pod", "the pod of the token is on no node yet")
    return str(node)


def _one(extra: Mapping[str, Any], name: str) -> str:
    values: Sequence[Any] = extra.get(_EXTRA + name) or ()
    return str(values[0]) if len(values) == 1 else ""
