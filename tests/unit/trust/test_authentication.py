"""Who is believed, for how long, and what a stranger costs. The API server is scripted."""

import asyncio
import base64
import json
from typing import Any

import grpc
import pytest

from coordinator.errors import ApiUnavailable, Forbidden, NotFound
from coordinator.health import authentication
from coordinator.health.authentication import Refused, TokenAuthenticator, address_of
from coordinator.health.token_review import TokenRefused, agent_of, look, token_of

NAMESPACE = "system"
WALL = 1_800_000_000.0
USER = "system:serviceaccount:system:lmcache-node-agent"
EXTRA = "authentication.kubernetes.io/"


def token(**claims: Any) -> str:
    def part(content: object) -> str:
        return base64.urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip("=")

    body = {"aud": ["lmcache-coordinator"], "exp": WALL + 3600, **claims}
    return f"{part({'alg': 'x'})}.{part(body)}.{part('s')}"


def review(node="n1", uid="u1", **status) -> dict[str, Any]:
    extra = {EXTRA + "pod-name": ["p1"], EXTRA + "pod-uid": [uid]}
    if node:
        extra[EXTRA + "node-name"] = [node]
    return {
        "status": {
            "authenticated": True,
            "audiences": ["lmcache-coordinator"],
            "user": {"username": USER, "extra": extra},
            **status,
        }
    }


class Call:
    def __init__(self, value: str | None = None, peer: str = "ipv4:10.0.0.1:7") -> None:
        self._metadata = None if value is None else (("authorization", f"Bearer {value}"),)
        self._peer = peer

    def peer(self) -> str:
        return self._peer

    def invocation_metadata(self) -> Any:
        return self._metadata


class Api:
    """Answers reviews and pods as told; counts the questions."""

    def __init__(self) -> None:
        self.answer: Any = review()
        self.pod: Any = NotFound("no pod")
        self.asked = 0
        self.gate: asyncio.Event | None = None

    async def create(self, resource, manifest) -> Any:
        assert resource.plural == "tokenreviews"
        assert manifest["spec"]["audiences"] == ["lmcache-coordinator"]
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    async def get(self, _resource, *, namespace, name) -> Any:
        assert (namespace, name) == (NAMESPACE, "p1")
        if isinstance(self.pod, Exception):
            raise self.pod
        return self.pod


class Bench:
    def __init__(self) -> None:
        self.now = 0.0
        self.api = Api()
        self.tokens = TokenAuthenticator(
            self.api,  # type: ignore[arg-type]
            namespace=NAMESPACE,
            clock=lambda: self.now,
            wall_clock=lambda: WALL + self.now,
            max_accepted=50,
            max_refused=50,
        )

    async def refused(self, call) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(Refused) as raised:
            await self.tokens.node_of(call)
        return raised.value.code, raised.value.reason


@pytest.fixture
def bench() -> Bench:
    return Bench()


UNAUTHENTICATED = grpc.StatusCode.UNAUTHENTICATED


async def test_a_token_is_asked_about_once_in_five_minutes(bench):
    call = Call(token())
    for second in (0, 1, 299):
        bench.now = second
        assert await bench.tokens.node_of(call) == "n1"
    assert bench.api.asked == 1
    bench.now = 301
    assert await bench.tokens.node_of(call) == "n1"
    assert bench.api.asked == 2


async def test_no_verdict_outlives_its_token(bench):
    call = Call(token(exp=WALL + 20))
    assert await bench.tokens.node_of(call) == "n1"
    bench.now = 21
    assert await bench.refused(call) == (UNAUTHENTICATED, "expired_token")
    assert bench.api.asked == 1


async def test_a_refusal_is_remembered_for_ten_seconds(bench):
    bench.api.answer = review(authenticated=False)
    call = Call(token())
    for second in (0, 9):
        bench.now = second
        assert await bench.refused(call) == (UNAUTHENTICATED, "unauthenticated")
    assert bench.api.asked == 1
    bench.now = 11
    bench.api.answer = review()
    assert await bench.tokens.node_of(call) == "n1"


async def test_many_calls_at_once_ask_once(bench):
    bench.api.gate = asyncio.Event()
    calls = [asyncio.create_task(bench.tokens.node_of(Call(token()))) for _ in range(20)]
    await asyncio.sleep(0)
    calls[0].cancel()
    await asyncio.sleep(0)
    bench.api.gate.set()
    assert await asyncio.gather(*calls[1:]) == ["n1"] * 19
    assert bench.api.asked == 1


@pytest.mark.parametrize("error", [ApiUnavailable("down"), Forbidden("no"), TimeoutError()])
async def test_without_an_answer_nobody_new_is_believed_and_everybody_known_is(bench, error):
    known = Call(token())
    await bench.tokens.node_of(known)
    bench.api.answer = error
    unavailable = (grpc.StatusCode.UNAVAILABLE, "review_unavailable")
    assert await bench.refused(Call(token(jti="2"))) == unavailable
    assert await bench.tokens.node_of(known) == "n1"
    bench.now = 301
    assert await bench.refused(known) == unavailable
    bench.api.answer = review()
    assert await bench.tokens.node_of(known) == "n1"


async def test_a_review_that_hangs_ends(bench, monkeypatch):
    monkeypatch.setattr(authentication, "REVIEW_SECONDS", 0.05)
    bench.api.gate = asyncio.Event()
    assert (await bench.refused(Call(token())))[0] is grpc.StatusCode.UNAVAILABLE


async def test_a_token_ends_with_its_pod_even_where_the_api_server_lags(bench):
    call = Call(token())
    await bench.tokens.node_of(call)
    bench.tokens.forget_pod("u1")
    assert await bench.refused(call) == (UNAUTHENTICATED, "pod_gone")
    bench.now = 60
    assert await bench.refused(call) == (UNAUTHENTICATED, "pod_gone")
    bench.now = 121
    bench.api.answer = review(authenticated=False)
    assert await bench.refused(call) == (UNAUTHENTICATED, "unauthenticated")


async def test_a_pod_that_goes_during_its_review_is_not_believed(bench):
    bench.api.gate = asyncio.Event()
    call = asyncio.create_task(bench.tokens.node_of(Call(token())))
    await asyncio.sleep(0)
    bench.tokens.forget_pod("u1")
    bench.api.gate.set()
    with pytest.raises(Refused, match="gone"):
        await call


async def test_another_pod_of_the_same_node_is_believed(bench):
    await bench.tokens.node_of(Call(token()))
    bench.tokens.forget_pod("u1")
    bench.api.answer = review(uid="u2")
    assert await bench.tokens.node_of(Call(token(jti="2"))) == "n1"


PODS = {
    "its own": ({"metadata": {"uid": "u1"}, "spec": {"nodeName": "n7"}}, "n7"),
    "another of the same name": ({"metadata": {"uid": "u2"}, "spec": {"nodeName": "n7"}}, None),
    "not on a node": ({"metadata": {"uid": "u1"}, "spec": {}}, None),
    "none": (NotFound("no pod"), None),
}


@pytest.mark.parametrize(("pod", "node"), PODS.values(), ids=PODS)
async def test_a_token_without_a_node_is_looked_up_by_its_pod(bench, pod, node):
    bench.api.answer = review(node="")
    bench.api.pod = pod
    if node is None:
        assert await bench.refused(Call(token())) == (UNAUTHENTICATED, "no_pod")
    else:
        assert await bench.tokens.node_of(Call(token())) == node


REVIEWS = {
    "wrong_audience": review(audiences=["https://kubernetes.default.svc"]),
    "wrong_account": review(user={"username": "system:serviceaccount:other:lmcache-node-agent"}),
    "no_pod": review(user={"username": USER}),
    "unauthenticated": {},
}


@pytest.mark.parametrize(("reason", "answer"), REVIEWS.items(), ids=REVIEWS)
def test_each_doubt_has_its_word(reason, answer):
    with pytest.raises(TokenRefused) as raised:
        agent_of(answer, namespace=NAMESPACE)
    assert raised.value.reason == reason


CLAIMS = {
    "another audience": (token(aud=["vault"]), "wrong_audience"),
    "no audience": (token(aud=None), "wrong_audience"),
    "expired": (token(exp=WALL), "expired_token"),
    "two parts": ("a.b", "malformed_token"),
    "no base64": ("a.é.c", "malformed_token"),
    "no JSON": ("a.YQ.c", "malformed_token"),
    "no object": ("a.W10.c", "malformed_token"),
    "nested without end": (
        f"a.{base64.urlsafe_b64encode(b'[' * 5000).decode()}.c",
        "malformed_token",
    ),
    "too long": (token(more="x" * 9000), "malformed_token"),
}


@pytest.mark.parametrize(("value", "reason"), CLAIMS.values(), ids=CLAIMS)
def test_what_cannot_be_right_is_not_asked_about(value, reason):
    with pytest.raises(TokenRefused) as raised:
        look(value, now=WALL)
    assert raised.value.reason == reason


def test_an_end_is_optional_and_one_audience_may_stand_alone():
    assert look(token(exp=None), now=WALL) is None
    assert look(token(aud="lmcache-coordinator"), now=WALL) == WALL + 3600


@pytest.mark.parametrize(
    "metadata",
    [
        None,
        (),
        (("authorization", ""),),
        (("authorization", "Basic abc"),),
        (("authorization", "Bearer "),),
        (("authorization", "Bearer a"), ("authorization", "Bearer b")),
    ],
)
def test_a_call_without_one_bearer_token(metadata):
    with pytest.raises(TokenRefused) as raised:
        token_of(metadata)
    assert raised.value.reason == "no_token"


async def test_a_stranger_costs_ten_reviews_and_then_one_a_second(bench):
    bench.api.answer = review(authenticated=False)
    reasons = [(await bench.refused(Call(token(jti=str(n)))))[1] for n in range(30)]
    assert reasons == ["unauthenticated"] * 10 + ["too_many_refusals"] * 20
    assert bench.api.asked == 10
    bench.now = 1.0
    await bench.refused(Call(token(jti="later")))
    assert bench.api.asked == 11


async def test_a_stranger_does_not_keep_others_out(bench):
    known = Call(token(jti="known"))
    await bench.tokens.node_of(known)
    bench.api.answer = review(authenticated=False)
    for number in range(30):
        await bench.refused(Call(token(jti=str(number))))
    assert await bench.tokens.node_of(known) == "n1", "even from the same address"
    bench.api.answer = review(node="n2")
    assert await bench.tokens.node_of(Call(token(jti="new"), peer="ipv4:10.0.0.2:7")) == "n2"


async def test_what_is_remembered_is_bounded(bench):
    for number in range(200):
        bench.api.answer = review(uid=f"u{number}", node=f"n{number}")
        await bench.tokens.node_of(Call(token(jti=str(number))))
        bench.now += 1
        bench.api.answer = review(authenticated=False)
        await bench.refused(Call(token(jti=f"bad {number}")))
        bench.tokens.forget_pod(f"gone {number}")
    assert len(bench.tokens._accepted) == 50
    assert len(bench.tokens._refused) == 50
    assert not bench.tokens._reviews


async def test_tokens_are_not_kept(bench):
    secret = token(jti="secret")
    await bench.tokens.node_of(Call(secret))
    assert secret not in repr(vars(bench.tokens._accepted))


@pytest.mark.parametrize(
    ("peer", "address"),
    [("ipv4:1.2.3.4:5", "ipv4:1.2.3.4"), ("ipv6:%5B::1%5D:5", "ipv6:%5B::1%5D"), ("", "")],
)
def test_the_port_of_a_peer_does_not_matter(peer, address):
    assert address_of(peer) == address
