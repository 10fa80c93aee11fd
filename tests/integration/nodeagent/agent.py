"""The real agent as a process, on a node made of a host root and the fake driver."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import urllib.error
import urllib.request
from typing import TYPE_CHECKING

from lmcache_nodehealth.v1 import nodehealth_pb2 as pb
from lmcache_nodehealth.v1 import nodehealth_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import grpc.aio

    from hack.demo.host_root import HostRoot
    from tests.fakenvml.scenario import Scenario


class Coordinator(nodehealth_pb2_grpc.NodeHealthServiceServicer):
    """Records reports and answers with the assignment that it holds."""

    def __init__(self) -> None:
        self.reports: list[pb.ReportRequest] = []
        self.metadata: list[dict[str, str]] = []
        self.assignment = pb.Assignment(revision="1")
        self.pace = 60.0
        self._arrived = asyncio.Condition()

    async def Report(  # noqa: N802 (the name of the call)
        self,
        request: pb.ReportRequest,
        context: grpc.aio.ServicerContext[pb.ReportRequest, pb.ReportResponse],
    ) -> pb.ReportResponse:
        async with self._arrived:
            self.reports.append(request)
            self.metadata.append(
                {key: str(value) for key, value in context.invocation_metadata() or ()}
            )
            self._arrived.notify_all()
        response = pb.ReportResponse()
        response.next_report_after.FromMilliseconds(int(self.pace * 1000))
        if request.assignment_revision != self.assignment.revision:
            response.assignment.CopyFrom(self.assignment)
        return response

    async def report_with(
        self, predicate: Callable[[pb.ReportRequest], bool], *, within: float, after: int = 0
    ) -> pb.ReportRequest:
        """Return the first report, from number `after` on, that satisfies the predicate."""
        async with asyncio.timeout(within), self._arrived:
            while True:
                for report in self.reports[after:]:
                    if predicate(report):
                        return report
                after = len(self.reports)
                await self._arrived.wait()

    async def finding(
        self, check: str, *, reason: str, within: float, after: int = 0
    ) -> pb.Finding:
        """Return the first finding of this check with this reason."""

        def wanted(finding: pb.Finding) -> bool:
            return finding.check == check and finding.reason == reason

        report = await self.report_with(
            lambda report: any(map(wanted, report.findings)), within=within, after=after
        )
        return next(filter(wanted, report.findings))


class Agent:
    """An agent process; its HTTP port is read from its log."""

    def __init__(self, process: asyncio.subprocess.Process, log: list[str]) -> None:
        self.process = process
        self.log = log
        self._drain: asyncio.Task[None] | None = None
        self.port = 0

    @classmethod
    async def start(cls, *words: str, environment: dict[str, str]) -> Agent:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "nodeagent",
            *words,
            env=environment,
            stderr=asyncio.subprocess.PIPE,
        )
        agent = cls(process, [])
        assert process.stderr is not None
        while line := (await process.stderr.readline()).decode():
            agent.log.append(line)
            if " port='" in line:
                agent.port = int(line.partition(" port='")[2].partition("'")[0])
                break
        agent._drain = asyncio.create_task(agent._read(process.stderr))
        return agent

    async def _read(self, stream: asyncio.StreamReader) -> None:
        while line := (await stream.readline()).decode():
            self.log.append(line)

    async def get(self, path: str) -> tuple[int, str]:
        return await asyncio.to_thread(self._get, path)

    def _get(self, path: str) -> tuple[int, str]:
        try:
            url = f"http://127.0.0.1:{self.port}{path}"
            with urllib.request.urlopen(url, timeout=5) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    async def stop(self) -> int:
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(15):
            code = await self.process.wait()
        if self._drain is not None:
            await self._drain
        return code


class Node:
    """One node: its host root and its driver's scenario."""

    def __init__(self, directory: Path, library: Path) -> None:
        self.root = directory / "host"
        self.scenario = directory / "scenario"
        self._library = library

    def put(self, *, host: HostRoot | None = None, driver: Scenario | None = None) -> None:
        if host is not None:
            host.write(self.root)
        if driver is not None:
            driver.write(self.scenario)

    async def start_agent(self, *words: str, port: int, **environment: str) -> Agent:
        return await Agent.start(
            f"--coordinator=127.0.0.1:{port}",
            "--insecure",
            "--node-name=node-a",
            f"--host-root={self.root}",
            "--listen=127.0.0.1:0",
            *words,
            environment={
                **os.environ,
                "LD_LIBRARY_PATH": str(self._library.parent),
                "FAKE_NVML_SCENARIO": str(self.scenario),
                **environment,
            },
        )
