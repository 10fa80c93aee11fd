"""The control plane as its users see it: start or attach, use, stop."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hack.controlplane import audit, binaries, folder, nodes, processes, programs
from hack.controlplane.api import Api
from hack.controlplane.errors import (
    CommandFailed,
    NotRunning,
    StartFailed,
    TimedOut,
    with_log_tail,
)
from hack.controlplane.layout import Layout
from hack.controlplane.plan import Event, Plan, State, read_state
from hack.controlplane.progress import Progress
from hack.controlplane.waiting import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Self

REPOSITORY = Path(__file__).resolve().parents[2]
# Five servers with their grace each, and some air.
STOP_WITHIN = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ControlPlaneOptions:
    """What kind of control plane."""

    folder: Path | None = None
    """Where everything lies; None: in a temporary folder that goes when the control plane stops."""
    kwok: bool = False
    """Play the kubelets of fake nodes."""
    audit: bool = False
    """Log all requests, for `ControlPlane.audit_events`."""
    detached: bool = False
    """Go on when this process ends, until `ControlPlane.attach(folder).stop()`."""
    ready_within: float = 120.0
    """Seconds for the whole start, without building programs."""


class ControlPlane:
    """A running control plane. A context manager: it stops at the end of the block."""

    def __init__(
        self,
        *,
        layout: Layout,
        state: State,
        supervisor: subprocess.Popen[str] | None = None,
    ) -> None:
        """Use `start` or `attach`."""
        self._layout = layout
        self._state = state
        self._supervisor = supervisor

    @classmethod
    def start(
        cls,
        options: ControlPlaneOptions | None = None,
        *,
        report: Callable[[str], None] | None = None,
    ) -> Self:
        """Start a control plane and return it when it is ready.

        Programs that are missing are built first; `report` is told of that, line by line. Raises
        StartFailed or BuildFailed, whose text says which part failed and the end of its log.
        """
        options = options or ControlPlaneOptions()
        if options.detached and options.folder is None:
            raise StartFailed("A detached control plane needs a folder, to be found in again.")
        progress = Progress() if report is None else Progress(line=report)
        wanted = programs.ALL if options.kwok else programs.CORE
        found = binaries.provide(wanted, progress=progress)
        place = Path(tempfile.mkdtemp(prefix="controlplane-")) if options.folder is None else None
        layout = Layout((place or options.folder or Path()).absolute())
        layout.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        plan = Plan(
            folder=layout.folder,
            binaries=dict(found.paths),
            kwok_stages=found.kwok_stages,
            kwok=options.kwok,
            audit=options.audit,
            detached=options.detached,
            remove=place is not None,
            ready_within=options.ready_within,
            parent=os.getpid(),
        )
        supervisor = _supervise(plan, layout=layout)
        try:
            _await_ready(supervisor, layout=layout, progress=progress)
            state = _state(layout)
        except BaseException:
            _let_go(supervisor)
            raise
        if options.detached:
            _let_go(supervisor)
            return cls(layout=layout, state=state)
        return cls(layout=layout, state=state, supervisor=supervisor)

    @classmethod
    def attach(cls, folder: Path) -> Self:
        """Return the control plane that runs in a folder; raise NotRunning if none does."""
        layout = Layout(folder.absolute())
        state = read_state(layout.state)
        if state is None or not processes.is_alive(state.supervisor):
            raise NotRunning(f"No control plane runs in {folder}.")
        if not state.ready:
            raise NotRunning(f"The control plane in {folder} is still starting, or failing to.")
        return cls(layout=layout, state=state)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def folder(self) -> Path:
        """Where everything lies."""
        return self._layout.folder

    @property
    def kubeconfig(self) -> Path:
        """The admin's; complete in itself, so it may be copied."""
        return self._layout.kubeconfig

    @property
    def url(self) -> str:
        """The API server's address."""
        return self._state.url

    @property
    def token(self) -> str:
        """The admin's token."""
        return self._state.token

    @property
    def certificate_authority(self) -> Path:
        """What the API server's certificate is verified with."""
        return self._layout.certificate

    @property
    def api(self) -> Api:
        """A very small client, as admin."""
        return Api(url=self.url, certificate_authority=self.certificate_authority, token=self.token)

    @property
    def kubectl_path(self) -> Path:
        """A kubectl of the right version."""
        return Path(self._state.binaries[programs.KUBECTL.name])

    def servers(self) -> dict[str, int]:
        """Return the process number of each server that runs.

        Killing one is a fine way to see what others make of it: it comes back by itself, on the
        same port, half a second later. So is stopping one for a while (SIGSTOP, SIGCONT).
        """
        state = read_state(self._layout.state)
        known = state.servers if state is not None else {}
        return {name: one.pid for name, one in known.items() if processes.is_alive(one)}

    def log(self, server: str) -> Path:
        """Return the log of one of the servers."""
        return self._layout.log(server)

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120.0) -> str:
        """Run kubectl as admin and return what it printed; raise CommandFailed if it fails."""
        settings = {
            **os.environ,
            "KUBECONFIG": str(self.kubeconfig),
            # Caches and preferences in the person's home are about other clusters.
            "KUBECACHEDIR": str(self._layout.kubectl_cache),
            "HOME": str(self.folder),
        }
        try:
            answer = subprocess.run(
                [self.kubectl_path, *arguments],
                env=settings,
                input=stdin if stdin is not None else "",
                capture_output=True,
                text=True,
                check=False,
                timeout=timeout,
            )
        except subprocess.TimeoutExpired as error:
            raise TimedOut(
                f"kubectl {' '.join(arguments)}: no end within {timeout:g} s."
            ) from error
        if answer.returncode != 0:
            raise CommandFailed(f"kubectl {' '.join(arguments)}: {answer.stderr.strip()}")
        return answer.stdout

    def audit_events(self) -> Iterator[audit.AuditEvent]:
        """Yield what the API server logged so far, oldest first.

        A request is logged when its answer is complete, which can be a moment after the client got
        it: poll for what must come.
        """
        if not self._state.audit:
            raise CommandFailed("This control plane was started without `audit`.")
        return audit.read(self._layout.audit_log)

    def add_nodes(self, fake: nodes.FakeNodes, *, ready_within: float = 60.0) -> tuple[str, ...]:
        """Create fake nodes, wait until all are Ready, and return their names.

        A node that is there already is left as it is.
        """
        for manifest in fake.manifests():
            answer = self.api.request("POST", "/api/v1/nodes", manifest)
            if not answer.ok and answer.code != 409:
                message = answer.body.get("message") if isinstance(answer.body, dict) else ""
                raise CommandFailed(f"Node {manifest['metadata']['name']}: {message}")

        def all_ready() -> bool:
            there = self.api.request("GET", "/api/v1/nodes").body["items"]
            ready = {one["metadata"]["name"] for one in there if nodes.is_ready(one)}
            return ready.issuperset(fake.names())

        wait_until(all_ready, within=ready_within, what=f"{fake.count} fake nodes Ready", every=0.2)
        return fake.names()

    def stop(self, *, remove: bool = False) -> None:
        """End every server and wait for that; with `remove`, clear the folder too.

        A temporary folder is always removed. Stopping twice does no harm.
        """
        if self._supervisor is not None:
            _let_go(self._supervisor)
        else:
            end_supervisor(self._layout)
        if remove:
            folder.clear(self._layout)


def bring_down(place: Path, *, remove: bool = True) -> bool:
    """End whatever runs in a folder, be it ready or not; False when nothing did."""
    layout = Layout(place.absolute())
    ended = end_supervisor(layout)
    if remove and layout.lock.exists():
        folder.clear(layout)
    return ended


def end_supervisor(layout: Layout) -> bool:
    """End the supervisor that the state names, and with it its servers; False if none runs."""
    state = read_state(layout.state)
    if state is None or not processes.send(state.supervisor, signal.SIGTERM):
        return False
    who = state.supervisor
    try:
        wait_until(
            lambda: not processes.is_alive(who), within=STOP_WITHIN, what="the supervisor's end"
        )
    except TimedOut:
        # Its servers die with it, whatever it hangs on.
        processes.send(who, signal.SIGKILL)
        wait_until(
            lambda: not processes.is_alive(who), within=STOP_WITHIN, what="the supervisor's end"
        )
    return True


def _supervise(plan: Plan, *, layout: Layout) -> subprocess.Popen[str]:
    """Start the supervisor and hand it the plan."""
    search = os.pathsep.join(
        part for part in (str(REPOSITORY), os.environ.get("PYTHONPATH", "")) if part
    )
    with layout.supervisor_log.open("ab") as log:
        supervisor = subprocess.Popen(
            [sys.executable, "-P", "-m", "hack.controlplane.supervisor"],
            env={**os.environ, "PYTHONPATH": search},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            # Ctrl-C is for the process in front, which then ends us in order.
            start_new_session=True,
        )
    if supervisor.stdin is not None:
        # When it is gone already, the end of its answers will tell.
        with contextlib.suppress(BrokenPipeError):
            supervisor.stdin.write(plan.to_json() + "\n")
            supervisor.stdin.flush()
    return supervisor


def _await_ready(supervisor: subprocess.Popen[str], *, layout: Layout, progress: Progress) -> None:
    for line in supervisor.stdout or ():
        event = Event.from_json(line)
        if event.failed:
            raise StartFailed(event.failed)
        if event.ready:
            return
        progress.line(event.say)
    raise StartFailed(with_log_tail("The supervisor ended early.", layout.supervisor_log))


def _state(layout: Layout) -> State:
    state = read_state(layout.state)
    if state is None:
        raise StartFailed(f"{layout.state} is gone: somebody removed it.")
    return state


def _let_go(supervisor: subprocess.Popen[str]) -> None:
    """Close our ends of the pipes and wait for its end, which is at once when it is detached."""
    for pipe in (supervisor.stdin, supervisor.stdout):
        if pipe is not None and not pipe.closed:
            with contextlib.suppress(BrokenPipeError):
                pipe.close()
    try:
        supervisor.wait(timeout=STOP_WITHIN)
    except subprocess.TimeoutExpired:
        supervisor.kill()
        supervisor.wait()
