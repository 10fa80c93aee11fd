"""Who may speak for which node: ServiceAccount tokens, reviewed by the API server, remembered.

The cost of a stranger is bounded in three ways: what cannot be right is refused without a question,
a refusal is remembered, and after a few refused tokens an address has to wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import grpc

from coordinator.errors import ApiError, NotFound
from coordinator.health.rate import Buckets
from coordinator.health.token_review import (
    AgentPod,
    TokenRefused,
    agent_of,
    digest,
    look,
    node_of_pod,
    review_of,
    token_of,
)
from coordinator.kube.client import KubeClient
from coordinator.kube.resources import PODS, TOKEN_REVIEWS

ACCEPTED_SECONDS = 300.0
REFUSED_SECONDS = 10.0
MAX_ACCEPTED = 20_000
MAX_REFUSED = 2_000
REVIEW_SECONDS = 4.0
MAX_REVIEWS_AT_ONCE = 16
# The API server itself goes on accepting a token for some seconds after its pod has gone.
GONE_SECONDS = 120.0
MAX_GONE = 10_000
# New addresses may have this many tokens refused, then one a second.
REFUSALS_BURST = 10.0
REFUSALS_PER_SECOND = 1.0


class Caller(Protocol):
    """What is looked at of a call; gRPC's context has it."""

    def peer(self) -> str:
        """Return where the call comes from."""

    def invocation_metadata(self) -> Any:
        """Return the call's headers: pairs of name and value, or None."""


class Refused(Exception):
    """A call is refused: with this code, counted under this word, told in this sentence."""

    def __init__(self, code: grpc.StatusCode, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code
        self.reason = reason


class Authenticator(Protocol):
    """Who may speak for which node."""

    async def node_of(self, context: Caller) -> str | None:
        """Return the node that the caller may speak for, None for any. Raises Refused."""


class LoopbackAuthenticator:
    """Believes what it is told. Only for a server that listens on loopback, as it is checked."""

    async def node_of(self, context: Caller) -> str | None:
        """Return None: a caller on this machine may speak for any node. Raises Refused."""
        if context.peer().startswith(("ipv4:127.", "ipv6:%5B::1%5D")):
            return None
        raise Refused(
            grpc.StatusCode.PERMISSION_DENIED,
            "wrong_node",
            "without TLS only callers on this machine are heard",
        )


@dataclass(frozen=True, slots=True)
class _Verdict:
    until: float
    agent: AgentPod | None = None
    refusal: TokenRefused | None = None


class TokenAuthenticator:
    """Believes projected tokens of the agents' ServiceAccount, for the node of their pod."""

    def __init__(
        self,
        client: KubeClient,
        *,
        namespace: str,
        clock: Callable[[], float] = time.monotonic,
        wall_clock: Callable[[], float] = time.time,
        accepted_seconds: float = ACCEPTED_SECONDS,
        max_accepted: int = MAX_ACCEPTED,
        max_refused: int = MAX_REFUSED,
    ) -> None:
        self._client = client
        self._namespace = namespace
        self._clock = clock
        self._wall_clock = wall_clock
        self._accepted_seconds = accepted_seconds
        self._accepted = _Bounded(max_accepted)
        self._refused = _Bounded(max_refused)
        self._reviews: dict[bytes, asyncio.Task[_Verdict]] = {}
        self._slots = asyncio.Semaphore(MAX_REVIEWS_AT_ONCE)
        self._gone: dict[str, float] = {}
        self._refusals = Buckets(rate=REFUSALS_PER_SECOND, burst=REFUSALS_BURST, clock=clock)

    async def node_of(self, context: Caller) -> str:
        """Return the node of the token's pod. Raises Refused."""
        address = address_of(context.peer())
        try:
            token = token_of(context.invocation_metadata())
            name = digest(token)
            verdict = self._remembered(name)
            if verdict is None:
                end = look(token, now=self._wall_clock())
                if not self._refusals.has(address):
                    raise Refused(
                        grpc.StatusCode.RESOURCE_EXHAUSTED,
                        "too_many_refusals",
                        "too many refused tokens from this address",
                    )
                verdict = await self._review_once(name, token, end=end)
                if verdict.refusal is not None:
                    self._refusals.take(address)
        except TokenRefused as error:
            raise _unauthenticated(error) from error
        if verdict.refusal is not None:
            raise _unauthenticated(verdict.refusal)
        assert verdict.agent is not None  # noqa: S101 - a verdict has one or the other
        if self._clock() < self._gone.get(verdict.agent.uid, 0.0):
            raise _unauthenticated(TokenRefused("pod_gone", "the pod of the token is gone"))
        return verdict.agent.node

    def forget_pod(self, uid: str) -> None:
        """Believe no token of this pod: it is gone."""
        self._accepted.drop(lambda verdict: verdict.agent is not None and verdict.agent.uid == uid)
        self._gone[uid] = self._clock() + GONE_SECONDS
        while len(self._gone) > MAX_GONE:
            del self._gone[next(iter(self._gone))]

    def _remembered(self, name: bytes) -> _Verdict | None:
        now = self._clock()
        verdict = self._accepted.get(name) or self._refused.get(name)
        return verdict if verdict is not None and now < verdict.until else None

    async def _review_once(self, name: bytes, token: str, *, end: float | None) -> _Verdict:
        """Have one review at a time of each token, whoever waits for it or no longer does."""
        task = self._reviews.get(name)
        if task is None:
            task = asyncio.create_task(self._review(name, token, end=end), name="token-review")
            self._reviews[name] = task
            task.add_done_callback(lambda done: self._reviewed(name, done))
        try:
            return await asyncio.shield(task)
        except (ApiError, TimeoutError) as error:
            raise Refused(
                grpc.StatusCode.UNAVAILABLE,
                "review_unavailable",
                "tokens cannot be checked at the moment: the API server does not answer",
            ) from error

    def _reviewed(self, name: bytes, task: asyncio.Task[_Verdict]) -> None:
        del self._reviews[name]
        # Nobody may be waiting any more; an error without a reader is not one to log.
        if not task.cancelled():
            task.exception()

    async def _review(self, name: bytes, token: str, *, end: float | None) -> _Verdict:
        async with asyncio.timeout(REVIEW_SECONDS), self._slots:
            try:
                agent = await self._ask(token)
            except TokenRefused as error:
                refused = _Verdict(self._clock() + REFUSED_SECONDS, refusal=error)
                self._refused.put(name, refused)
                return refused
        if agent.uid in self._gone:
            return _Verdict(0.0, agent=agent)
        left = self._accepted_seconds
        if end is not None:
            left = min(left, end - self._wall_clock())
        accepted = _Verdict(self._clock() + left, agent=agent)
        self._accepted.put(name, accepted)
        return accepted

    async def _ask(self, token: str) -> AgentPod:
        review = await self._client.create(TOKEN_REVIEWS, review_of(token))
        agent = agent_of(review, namespace=self._namespace)
        if agent.node:
            return agent
        try:
            pod = await self._client.get(PODS, namespace=agent.namespace, name=agent.name)
        except NotFound as error:
            raise TokenRefused("no_pod", "the pod of the token is gone") from error
        return AgentPod(agent.namespace, agent.name, agent.uid, node_of_pod(agent, pod))


class _Bounded:
    """Verdicts by the digest of their token; the oldest make room for new ones."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._verdicts: dict[bytes, _Verdict] = {}

    def __len__(self) -> int:
        return len(self._verdicts)

    def get(self, name: bytes) -> _Verdict | None:
        return self._verdicts.get(name)

    def put(self, name: bytes, verdict: _Verdict) -> None:
        self._verdicts.pop(name, None)
        self._verdicts[name] = verdict
        while len(self._verdicts) > self._most:
            del self._verdicts[next(iter(self._verdicts))]

    def drop(self, is_meant: Callable[[_Verdict], bool]) -> None:
        for name in [name for name, verdict in self._verdicts.items() if is_meant(verdict)]:
            del self._verdicts[name]


def address_of(peer: str) -> str:
    """Return the host part of gRPC's name for a peer, without its port."""
    return peer.rpartition(":")[0]


def _unauthenticated(error: TokenRefused) -> Refused:
    return Refused(grpc.StatusCode.UNAUTHENTICATED, error.reason, str(error))
