"""The command line, and the composition of the agent: build, wire, run, end."""

import argparse
import logging
import os
import signal
import sys
import threading
import uuid
from collections.abc import Sequence
from pathlib import Path

from nodeagent import logs, metrics, settings
from nodeagent.channel import CoordinatorChannel
from nodeagent.errors import SettingsInvalid
from nodeagent.event_desk import EventDesk
from nodeagent.host import Host
from nodeagent.http import HttpServer, metrics_page, verdict_page
from nodeagent.node_report import Identity
from nodeagent.nvml.client import NvmlClient
from nodeagent.probes import Probe
from nodeagent.probes.clients import client_probe
from nodeagent.probes.gpus import gpu_probe
from nodeagent.probes.l1_memory import l1_memory_probe
from nodeagent.probes.shared_memory import shared_memory_probe
from nodeagent.processes import ProcessScanner
from nodeagent.pulse import Pulse
from nodeagent.report import Reporter
from nodeagent.runner import Runner
from nodeagent.settings import Settings
from nodeagent.state import NodeState
from nodeagent.version import agent_version
from nodeagent.xid_log import XidLog, mark_cleared

_LOG = logging.getLogger(__name__)

# The kill and the wait for the child come after NVML's own deadline.
_NVML_MARGIN = 5.0
# Nothing in the runner blocks, so a silence of this length is a dead thread.
_STALLED_SECONDS = 30.0


def main(words: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code: 2 for settings that are missing or wrong."""
    parser = argparse.ArgumentParser(
        prog="lmcache-node-agent",
        description="Verifies on one node that LMCache can really work there, and reports it.",
    )
    parser.add_argument(
        "command",
        nargs="?",
        choices=["run", "clear"],
        default="run",
        help="run the agent [run], or clear the XIDs of a GPU that has been seen to",
    )
    parser.add_argument("--version", action="version", version=agent_version())
    parser.add_argument("--gpu", metavar="UUID", default="", help="with clear: the GPU's UUID")
    settings.add_arguments(parser)
    arguments = parser.parse_args(words)
    try:
        if arguments.command == "clear":
            return clear(arguments.gpu, settings.state_directory(arguments, os.environ))
        chosen = settings.settings(arguments, os.environ)
    except SettingsInvalid as error:
        sys.stderr.write(f"lmcache-node-agent: {error}\n")
        return 2
    logs.set_up(chosen.log_level)
    return run(chosen)


def clear(uuid: str, directory: Path | None) -> int:
    """Have the agent of this node forget the XIDs of a GPU; return the exit code.

    Raises:
        SettingsInvalid: the GPU or the directory is not named, or the directory not writable.

    """
    if not uuid or "/" in uuid or uuid.startswith("."):
        raise SettingsInvalid("--gpu: the UUID of the GPU is needed, as `nvidia-smi -L` shows it")
    if directory is None:
        raise SettingsInvalid("--state-directory is needed: the one that the agent runs with")
    try:
        mark_cleared(directory, uuid)
    except OSError as error:
        raise SettingsInvalid(f"--state-directory: {directory}: {error.strerror}") from error
    sys.stdout.write(f"The agent forgets the XIDs of {uuid} in its next round.\n")
    return 0


def probes(chosen: Settings, *, host: Host, nvml: NvmlClient, xid_log: XidLog) -> tuple[Probe, ...]:
    """Return all probes."""
    scanner = ProcessScanner(host)
    deadline = chosen.probe_deadline
    return (
        gpu_probe(host, nvml, xid_log=xid_log, deadline=chosen.nvml_deadline + _NVML_MARGIN),
        shared_memory_probe(host, scanner, deadline=deadline),
        l1_memory_probe(host, scanner, deadline=deadline),
        client_probe(host, scanner, deadline=deadline),
    )


def run(chosen: Settings) -> int:
    """Run the agent until SIGTERM or SIGINT."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    host = Host(chosen.host_root)
    xid_log = XidLog(chosen.state_directory, boot_id=host.boot_id())
    events = EventDesk(xid_log)
    nvml = NvmlClient(deadline=chosen.nvml_deadline, on_event=events.take)
    all_probes = probes(chosen, host=host, nvml=nvml, xid_log=xid_log)
    state = NodeState(
        probes=[probe.name for probe in all_probes], recovery_rounds=chosen.recovery_rounds
    )
    runner = Runner(all_probes, state=state, interval=chosen.round_interval)
    identity = Identity(
        node_name=chosen.node_name,
        boot_id=host.boot_id(),
        instance=uuid.uuid4().hex,
        version=agent_version(),
    )
    reporter = Reporter(
        CoordinatorChannel(chosen),
        state=state,
        identity=identity,
        on_assignment=lambda _: runner.look_now(),
    )
    state.on_change(reporter.wake)
    events.on_change(lambda: runner.look_now("gpus"))
    pulse = Pulse(nvml, interval=chosen.pulse_interval, on_trouble=lambda: runner.look_now("gpus"))
    try:
        server = _http_server(
            chosen,
            state=state,
            runner=runner,
            nvml=nvml,
            reporter=reporter,
            version=identity.version,
        )
    except OSError as error:
        sys.stderr.write(f"lmcache-node-agent: --listen: {error.strerror}\n")
        return 2
    _LOG.info("started", extra={"node": chosen.node_name, "port": server.port})
    server.start()
    runner.start()
    pulse.start()
    # A report without findings would say that nothing is wrong: wait for the first round.
    while not stop.is_set() and not state.wait_for_first_round(0.05):
        pass
    reporter.start()
    stop.wait()
    _LOG.info("stopping")
    for part in (pulse, runner, reporter, server):
        part.stop()
    nvml.release()
    return 0


def _http_server(
    chosen: Settings,
    *,
    state: NodeState,
    runner: Runner,
    nvml: NvmlClient,
    reporter: Reporter,
    version: str,
) -> HttpServer:
    collector = metrics.AgentCollector(
        node_name=chosen.node_name,
        version=version,
        state=state,
        nvml=nvml,
        statistics=lambda: reporter.statistics,
    )

    def health() -> str:
        silent = runner.stalled_seconds()
        return f"no round for {silent:.0f} s" if silent > _STALLED_SECONDS else ""

    def readiness() -> str:
        return "" if state.snapshot().complete else "the first round is not complete"

    return HttpServer(
        chosen.listen,
        pages={
            "/metrics": metrics_page(metrics.registry(collector)),
            "/healthz": verdict_page(health),
            "/readyz": verdict_page(readiness),
        },
    )
