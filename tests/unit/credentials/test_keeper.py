"""When the keeper of credentials reads and writes, told by the requests that it makes."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from coordinator.api.engine import Engine
from coordinator.api.validation import parse
from coordinator.errors import ApiUnavailable, Forbidden, Invalid, NamespaceTerminating, NotFound
from coordinator.kube.client import KubeClient
from coordinator.kube.resources import ObjectKey, Resource, key_of
from coordinator.reconcile.credentials import CredentialKeeper, CredentialState
from coordinator.reconcile.queue import WorkQueue

KEY = ObjectKey("ns", "my-cache")
SOURCE = ObjectKey("ns", "redis-auth")
COPY = ObjectKey("ns", "my-cache-resp-auth")


@dataclass
class Secrets:
    """Secrets in memory, with the verbs that the keeper uses, and a list of the calls."""

    there: dict[ObjectKey, dict[str, Any]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    errors: dict[str, Exception] = field(default_factory=dict)

    def put(self, key: ObjectKey, *, owner: str = "", **values: str) -> None:
        data = {name: base64.b64encode(value.encode()).decode() for name, value in values.items()}
        references = [{"controller": True, "uid": owner}] if owner else []
        self.there[key] = {
            "metadata": {
                "namespace": key.namespace,
                "name": key.name,
                "uid": f"uid-of-{key.name}",
                "ownerReferences": references,
            },
            "data": data,
        }

    def values(self, key: ObjectKey) -> dict[str, str]:
        data = self.there[key]["data"]
        return {name: base64.b64decode(value).decode() for name, value in data.items()}

    def _call(self, verb: str, key: ObjectKey) -> None:
        self.calls.append(f"{verb} {key.name}")
        for call in (f"{verb} {key.name}", verb):
            if call in self.errors:
                raise self.errors[call]

    async def get(self, _resource: Resource, *, namespace: str, name: str) -> Any:
        key = ObjectKey(namespace, name)
        self._call("get", key)
        if key not in self.there:
            raise NotFound("no")
        return self.there[key]

    async def apply(self, manifest: Mapping[str, Any]) -> Any:
        key = key_of(manifest)
        self._call("apply", key)
        known = self.there.get(key, {"metadata": {"uid": "new"}, "data": {}})
        self.there[key] = {
            **manifest,
            "metadata": {**known["metadata"], **manifest["metadata"]},
            "data": {**known["data"], **manifest["data"]},
        }
        return self.there[key]

    async def merge_patch(
        self, _resource: Resource, patch: Mapping[str, Any], *, namespace: str, name: str
    ) -> None:
        key = ObjectKey(namespace, name)
        self._call("patch", key)
        for surplus in patch["data"]:
            del self.there[key]["data"][surplus]

    async def delete(self, manifest: Mapping[str, Any]) -> None:
        assert "data" not in manifest
        self._call("delete", key_of(manifest))
        del self.there[key_of(manifest)]


@dataclass
class World:
    """A keeper with its surroundings."""

    secrets: Secrets
    now: float = 1000.0
    made: int = 0

    def __post_init__(self) -> None:
        self.queue: WorkQueue[ObjectKey] = WorkQueue(clock=lambda: self.now)
        self.keeper = CredentialKeeper(
            cast(KubeClient, self.secrets),
            self.queue,
            clock=lambda: self.now,
            new_revision=self._revision,
        )

    def _revision(self) -> str:
        self.made += 1
        return f"r{self.made}"

    async def keep(self, engine: Engine) -> CredentialState:
        self.secrets.calls.clear()
        return await self.keeper.keep(engine)


@pytest.fixture
def world() -> World:
    return World(Secrets())


def engine(*, generation: int = 1, secret: str | None = SOURCE.name) -> Engine:
    spec: dict[str, Any] = {"l1": {"sizeGB": 1}}
    if secret is not None:
        spec["l2Backend"] = {"resp": {"host": "h", "port": 6379, "authSecretRef": {"name": secret}}}
    return Engine(KEY.namespace, KEY.name, "uid-1", generation, parse(spec))


async def test_reads_at_once_then_every_30_s_and_writes_only_what_differs(world: World) -> None:
    world.secrets.put(SOURCE, password="p")
    state = await world.keep(engine())
    assert state == CredentialState(revision="r1")
    assert world.secrets.calls == [
        "get redis-auth",
        "get my-cache-resp-auth",
        "apply my-cache-resp-auth",
    ]
    world.now += 29
    assert await world.keep(engine()) == state
    assert world.secrets.calls == []
    world.now += 1
    assert await world.keep(engine()) == state
    assert world.secrets.calls == ["get redis-auth", "get my-cache-resp-auth"]
    assert await world.keep(engine(generation=2)) == state
    assert world.secrets.calls == ["get redis-auth", "get my-cache-resp-auth"]


async def test_a_rotation_has_a_new_revision_and_a_restart_has_none(world: World) -> None:
    world.secrets.put(SOURCE, password="p", username="u")
    assert (await world.keep(engine())).revision == "r1"
    world.secrets.put(SOURCE, password="q")
    world.now += 30
    assert (await world.keep(engine())).revision == "r2"
    # Server-side apply leaves what another manager owns: the user name is taken away by patch.
    assert world.secrets.values(COPY) == {"password": "q"}
    assert world.secrets.calls[-1] == "patch my-cache-resp-auth"
    restarted = World(world.secrets)
    assert (await restarted.keep(engine())).revision == "r2"


async def test_a_label_of_others_on_the_copy_rolls_nothing(world: World) -> None:
    world.secrets.put(SOURCE, password="p")
    await world.keep(engine())
    world.secrets.there[COPY]["metadata"]["labels"]["theirs"] = "x"
    world.secrets.there[COPY]["metadata"]["resourceVersion"] = "999"
    world.now += 30
    assert (await world.keep(engine())).revision == "r1"
    assert "apply my-cache-resp-auth" not in world.secrets.calls


async def test_without_its_source_a_copy_serves_its_own_reference_only(world: World) -> None:
    world.secrets.put(SOURCE, password="p")
    await world.keep(engine())
    del world.secrets.there[SOURCE]
    world.now += 30
    state = await world.keep(engine())
    assert (state.revision, state.is_held) == ("r1", False)
    assert state.trouble is not None
    assert state.trouble.reason.name == "CredentialMissing"

    state = await world.keep(engine(generation=2, secret="another"))
    assert (state.revision, state.is_held) == ("", True)
    assert world.secrets.values(COPY) == {"password": "p"}


async def test_nothing_runs_before_the_first_credential(world: World) -> None:
    state = await world.keep(engine())
    assert state.is_held
    assert state.trouble is not None
    world.secrets.put(SOURCE, username="u")
    world.now += 30
    state = await world.keep(engine())
    assert state.trouble is not None
    assert state.trouble.reason.name == "CredentialIncomplete"


@pytest.mark.parametrize(
    ("call", "error", "reason", "refused"),
    [
        pytest.param(
            "get redis-auth", Forbidden("no"), "CredentialForbidden", "", id="source-forbidden"
        ),
        pytest.param(
            "get my-cache-resp-auth",
            Forbidden("no"),
            "CredentialForbidden",
            "",
            id="copy-forbidden",
        ),
        pytest.param(
            "apply",
            Invalid('data: "c2VjcmV0"', status=422, reason="Invalid"),
            "",
            "The API server refuses Secret my-cache-resp-auth (Invalid): check",
            id="refused",
        ),
    ],
)
async def test_a_refusal_is_told_without_the_servers_words(
    world: World, call: str, error: Exception, reason: str, refused: str
) -> None:
    world.secrets.put(SOURCE, password="p")
    world.secrets.errors[call] = error
    state = await world.keep(engine())
    assert state.is_held
    assert (state.trouble.reason.name if state.trouble else "") == reason
    assert state.refused.startswith(refused)
    assert "c2VjcmV0" not in state.refused


@pytest.mark.parametrize("error", [ApiUnavailable("away"), NamespaceTerminating("going")])
async def test_what_waiting_mends_is_not_taken_for_a_finding(
    world: World, error: Exception
) -> None:
    world.secrets.put(SOURCE, password="p")
    world.secrets.errors["apply"] = error
    with pytest.raises(type(error)):
        await world.keep(engine())
    world.secrets.errors.clear()
    assert (await world.keep(engine())).revision == "r2"


async def test_a_stranger_of_the_copys_name_is_a_conflict(world: World) -> None:
    world.secrets.put(SOURCE, password="p")
    world.secrets.put(COPY, owner="somebody", password="theirs")
    state = await world.keep(engine())
    assert state.is_held
    assert "Secret my-cache-resp-auth exists in namespace ns" in state.conflict
    assert world.secrets.values(COPY) == {"password": "theirs"}


async def test_an_unused_copy_goes_when_no_pod_needs_it_any_more(world: World) -> None:
    world.secrets.put(COPY, owner="uid-1", password="p")
    plain = engine(secret=None)
    await world.keeper.retire(plain, is_rolled_out=False)
    assert world.secrets.calls == ["get my-cache-resp-auth"]
    await world.keeper.retire(plain, is_rolled_out=True)
    await world.keeper.retire(plain, is_rolled_out=True)
    assert world.secrets.calls == ["get my-cache-resp-auth", "delete my-cache-resp-auth"]


@pytest.mark.parametrize("owner", ["", "somebody"])
async def test_only_our_own_copy_is_deleted(world: World, owner: str) -> None:
    world.secrets.put(COPY, owner=owner, password="p")
    await world.keeper.retire(engine(secret=None), is_rolled_out=True)
    assert world.secrets.calls == ["get my-cache-resp-auth"]


async def test_an_installation_without_rights_on_secrets_works_without_credentials(
    world: World,
) -> None:
    world.secrets.errors["get"] = Forbidden("no")
    await world.keeper.retire(engine(secret=None), is_rolled_out=True)
    assert await world.keep(engine(secret=None)) == CredentialState()


async def test_a_new_engine_of_the_old_name_is_looked_at_anew(world: World) -> None:
    world.secrets.put(SOURCE, password="p")
    await world.keep(engine())
    del world.secrets.there[COPY]
    state = await world.keep(replace(engine(), uid="uid-2"))
    assert state.revision == "r2"
    assert world.secrets.there[COPY]["metadata"]["ownerReferences"][0]["uid"] == "uid-2"
