"""Who may log in: static tokens, the kubeconfigs that carry them, the key of service accounts.

Nothing here needs openssl or a package: the API server makes its own certificate, people and
servers log in with tokens, and a private key on a named curve is only a number.
"""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass

ADMIN = "admin"
MASTERS = "system:masters"

# The number of points on NIST P-256; a private key is a number from 1 to one below it.
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who logs in with a static token."""

    name: str
    token: str
    groups: tuple[str, ...] = ()


def new_user(name: str, *groups: str) -> User:
    """Return a user with a fresh token."""
    return User(name, secrets.token_urlsafe(32), groups)


def new_users() -> dict[str, User]:
    """Return the users of a control plane, by the server that logs in as them."""
    return {
        ADMIN: new_user(ADMIN, MASTERS),
        # Its controllers would need an account each to live with their own rights. It may do all,
        # under its own name: an audit tells its requests from ours.
        "kube-controller-manager": new_user("system:kube-controller-manager", MASTERS),
        "kube-scheduler": new_user("system:kube-scheduler"),
        "kwok": new_user("kwok", MASTERS),
    }


def token_file(users: dict[str, User]) -> str:
    """Return the file for `--token-auth-file`: token, name, uid, groups."""
    return "".join(
        f'{user.token},{user.name},{user.name},"{",".join(user.groups)}"\n'
        for user in users.values()
    )


def kubeconfig(user: User, *, url: str, certificate_authority: bytes) -> str:
    """Return a kubeconfig in which nothing refers to another file."""
    name = "controlplane"
    return json.dumps(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "contexts": [{"name": name, "context": {"cluster": name, "user": user.name}}],
            "clusters": [
                {
                    "name": name,
                    "cluster": {
                        "server": url,
                        "certificate-authority-data": base64.b64encode(
                            certificate_authority
                        ).decode(),
                    },
                }
            ],
            "users": [{"name": user.name, "user": {"token": user.token}}],
        },
        indent=2,
    )


def new_signing_key() -> str:
    """Return a fresh ECDSA P-256 private key in PEM (RFC 5915).

    The public half is optional in that form, and left out: the servers compute it.
    """
    number = secrets.randbelow(P256_ORDER - 1) + 1
    der = (
        bytes.fromhex("3031 020101 0420")  # sequence { version 1, 32 bytes:
        + number.to_bytes(32, "big")
        + bytes.fromhex("a00a 0608 2a8648ce3d030107")  # curve: prime256v1 }
    )
    body = base64.encodebytes(der).decode()
    return f"-----BEGIN EC PRIVATE KEY-----\n{body}-----END EC PRIVATE KEY-----\n"
