"""A coordinator that records, and nodes with agents; both end with the test."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc.aio
import pytest
from lmcache_nodehealth.v1 import nodehealth_pb2_grpc

from tests.fakenvml.build import CompilerMissing, build
from tests.integration.nodeagent.agent import Agent, Coordinator, Node

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable
    from pathlib import Path


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    try:
        return build(tmp_path_factory.mktemp("fakenvml"))
    except CompilerMissing as error:
        pytest.skip(str(error))


@pytest.fixture
def node(tmp_path: Path, library: Path) -> Node:
    return Node(tmp_path, library)


@pytest.fixture
async def coordinator() -> AsyncIterator[tuple[Coordinator, int]]:
    servicer = Coordinator()
    server = grpc.aio.server()
    nodehealth_pb2_grpc.add_NodeHealthServiceServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield servicer, port
    await server.stop(grace=None)


@pytest.fixture
async def start(node: Node) -> AsyncIterator[Callable[..., Awaitable[Agent]]]:
    agents: list[Agent] = []

    async def start_agent(*words: str, port: int, **environment: str) -> Agent:
        agent = await node.start_agent(*words, port=port, **environment)
        agents.append(agent)
        return agent

    yield start_agent
    for agent in agents:
        await agent.stop()
