"""What a credential Secret says, and what no sentence or repr says of it."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from coordinator.api.engine import Engine
from coordinator.api.validation import parse
from coordinator.kube.resources import ObjectKey
from coordinator.reconcile import secret_data
from coordinator.reconcile.secret_data import Credential

SOURCE = ObjectKey("redis", "redis-auth")
ENGINE = Engine(
    "ns",
    "my-cache",
    "uid-1",
    1,
    parse(
        {
            "l1": {"sizeGB": 1},
            "l2Backend": {
                "resp": {
                    "host": "h",
                    "port": 6379,
                    "authSecretRef": {"name": "redis-auth", "namespace": "redis"},
                }
            },
        }
    ),
)


def secret(**values: str) -> dict[str, Any]:
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    return {"metadata": {}, "data": data}


@pytest.mark.parametrize(
    ("given", "credential"),
    [
        pytest.param(secret(password="p"), Credential(b"p"), id="password"),
        pytest.param(secret(password="p", username="u"), Credential(b"p", b"u"), id="both"),
        pytest.param(secret(password="p", username=""), Credential(b"p"), id="empty-user"),
        pytest.param(secret(password="p", other="x"), Credential(b"p"), id="others-stay-away"),
        pytest.param(secret(password=""), None, id="empty-password"),
        pytest.param(secret(username="u"), None, id="no-password"),
        pytest.param({"metadata": {}}, None, id="no-data"),
        pytest.param({"metadata": {}, "data": None}, None, id="null-data"),
    ],
)
def test_a_credential_is_a_password_and_perhaps_a_user(
    given: dict[str, Any], credential: Credential | None
) -> None:
    assert secret_data.credential_in(given) == credential


def test_the_source_is_in_the_engines_namespace_unless_it_says_otherwise() -> None:
    assert secret_data.source_of(ENGINE) == SOURCE
    plain = Engine("ns", "e", "u", 1, parse({"l1": {"sizeGB": 1}}))
    assert secret_data.source_of(plain) is None


def test_a_copy_is_right_until_something_that_is_ours_differs() -> None:
    credential = Credential(b"p", b"u")
    wanted = secret_data.wanted_copy(ENGINE, credential, SOURCE, revision="r")
    assert secret_data.is_right(wanted, wanted, credential)
    assert secret_data.is_copy_of(wanted, SOURCE)
    assert secret_data.revision_of(wanted) == "r"

    rotated = secret_data.wanted_copy(ENGINE, Credential(b"q", b"u"), SOURCE, revision="r")
    assert not secret_data.holds(rotated, credential)
    surplus = {**wanted, "data": {**wanted["data"], "extra": "eA=="}}
    assert secret_data.surplus_keys(surplus, credential) == ("extra",)
    assert not secret_data.is_right(surplus, wanted, credential)
    bare = {**wanted, "metadata": {**wanted["metadata"], "ownerReferences": []}}
    assert secret_data.holds(bare, credential)
    assert not secret_data.is_right(bare, wanted, credential)
    labelled = {
        **wanted,
        "metadata": {
            **wanted["metadata"],
            "labels": {**wanted["metadata"]["labels"], "theirs": "x"},
        },
    }
    assert secret_data.is_right(labelled, wanted, credential)


def test_nothing_prints_a_credential() -> None:
    credential = Credential(b"hunter2", b"somebody")
    for text in (repr(credential), str(credential), f"{credential}"):
        assert "hunter2" not in text
        assert "somebody" not in text


@pytest.mark.parametrize(
    ("trouble", "reason", "words"),
    [
        pytest.param(
            secret_data.missing(SOURCE),
            "CredentialMissing",
            "`kubectl create secret generic redis-auth -n redis --from-file=password=FILE`",
            id="missing",
        ),
        pytest.param(
            secret_data.incomplete(SOURCE),
            "CredentialIncomplete",
            "has no key password, or it is empty: add it",
            id="incomplete",
        ),
        pytest.param(
            secret_data.forbidden(SOURCE),
            "CredentialForbidden",
            "needs the verb get on it (deploy/base/rbac.yaml)",
            id="forbidden",
        ),
    ],
)
def test_each_trouble_names_the_secret_and_the_remedy(
    trouble: Any, reason: str, words: str
) -> None:
    assert trouble.reason.name == reason
    assert "Secret redis-auth in namespace redis" in trouble.message
    assert words in trouble.message
    assert trouble.message.endswith("the Secret is looked at again every 30 s.")
