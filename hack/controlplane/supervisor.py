"""The process that owns the servers of one control plane: it starts, watches and ends them.

Run as `python -m hack.controlplane.supervisor` with a `plan.Plan` on standard input. The servers
are its children and die with it. It ends when its standard input is closed (that is how the end of
the process that asked for it shows, whatever that died of), or at SIGTERM when it is detached.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NoReturn

from hack.controlplane import credentials, folder, parts, processes, programs, servers
from hack.controlplane.errors import ControlPlaneError, StartFailed, with_log_tail
from hack.controlplane.layout import Layout
from hack.controlplane.plan import Event, Plan, State

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

GRACE = 5.0
POLL = 0.05
WATCH = 0.5
PORT_ATTEMPTS = 8
PORT_TAKEN = "address already in use"
DEFAULT_ACCOUNT = "/api/v1/namespaces/default/serviceaccounts/default"


class Stopped(Exception):
    """Somebody wants the control plane to end: not an error."""


@dataclass(frozen=True, slots=True)
class Launched:
    """A part that was started, on its port."""

    part: parts.Part
    process: subprocess.Popen[bytes]
    port: int
    attempt: int = 1


class Supervisor:
    """Owns the servers; everything it starts is in `launched`, in order."""

    def __init__(self, plan: Plan, *, state: State) -> None:
        self.plan = plan
        self.state = state
        self.layout = Layout(plan.folder)
        self.launched: dict[str, Launched] = {}
        self.deadline = time.monotonic() + plan.ready_within
        self.users = credentials.new_users()

    def run(self) -> int:
        """Start, watch until told to stop, end; the exit status is 0 unless the start failed."""
        try:
            lock = folder.claim(self.layout)
        except ControlPlaneError as error:
            _tell(Event(failed=str(error)))
            return 1
        with lock:
            try:
                self._start()
                _tell(Event(ready=True))
                self._watch()
            except Stopped:
                return 0
            except ControlPlaneError as error:
                _tell(Event(failed=str(error)))
                return 1
            finally:
                self._end()

    def _start(self) -> None:
        # The sockets of etcd are named from here; a full path may be too long for one.
        os.chdir(self.layout.folder)
        self._record(self.state)
        self._write_inputs()
        token = self.users[credentials.ADMIN].token
        self._bring_up([parts.etcd(self.layout)])
        self._bring_up([parts.kube_apiserver(self.layout, token=token, audit=self.plan.audit)])
        api = parts.api(
            self.layout, port=self.launched[programs.KUBE_APISERVER.name].port, token=token
        )
        self._write_kubeconfigs(api.url)
        rest = [parts.kube_controller_manager(self.layout), parts.kube_scheduler(self.layout)]
        if self.plan.kwok:
            rest.append(parts.kwok(self.layout, stages=self.plan.kwok_stages))
        self._bring_up(rest)
        # The first deed of the controller manager: without that account, pods are refused.
        while not api.is_ok(DEFAULT_ACCOUNT):
            self._pause(POLL)
            self._check_deadline([programs.KUBE_CONTROLLER_MANAGER.name])
        self._record(replace(self.state, ready=True, url=api.url, token=token))

    def _write_inputs(self) -> None:
        self.layout.tokens.write_text(credentials.token_file(self.users))
        self.layout.service_account_key.write_text(credentials.new_signing_key())
        self.layout.scheduler_config.write_text(servers.scheduler_config(self.layout))
        self.layout.audit_policy.write_text(servers.audit_policy())

    def _write_kubeconfigs(self, url: str) -> None:
        authority = self.layout.certificate.read_bytes()
        for name, user in self.users.items():
            path = self.layout.kubeconfig
            if name != credentials.ADMIN:
                path = self.layout.kubeconfig_of(name)
            path.write_text(credentials.kubeconfig(user, url=url, certificate_authority=authority))

    def _record(self, state: State) -> None:
        self.state = state
        state.write(self.layout.state)

    def _bring_up(self, batch: Sequence[parts.Part]) -> None:
        """Start parts side by side and wait until each is ready."""
        waiting = list(batch)
        for part in batch:
            self._launch(part, port=self._free_port(), attempt=1)
        while waiting:
            self._pause(POLL)
            for part in tuple(waiting):
                one = self.launched[part.name]
                if one.process.poll() is not None:
                    self._try_another_port(one)
                elif part.is_ready(one.port):
                    waiting.remove(part)
            self._check_deadline([part.name for part in waiting])

    def _free_port(self) -> int:
        taken = {one.port for one in self.launched.values()}
        while (port := processes.free_port(host=servers.LOOPBACK)) in taken:
            pass
        return port

    def _launch(self, part: parts.Part, *, port: int, attempt: int) -> None:
        process = processes.start(
            [self.plan.binaries[part.name], *part.arguments(port)],
            folder=self.layout.folder,
            log=self.layout.log(part.name),
            # Nothing of a person's own settings: kwok and Go programs read many.
            environ={
                "PATH": os.environ.get("PATH", os.defpath),
                "HOME": str(self.layout.folder),
            },
        )
        self.launched[part.name] = Launched(part, process, port, attempt)
        if (identity := processes.identity_of(process.pid)) is not None:
            self._record(replace(self.state, servers={**self.state.servers, part.name: identity}))

    def _try_another_port(self, one: Launched) -> None:
        """Start a part that ended anew on another port, if a taken port is what ended it."""
        name = one.part.name
        log = self.layout.log(name)
        if PORT_TAKEN not in log.read_text(errors="replace") or one.attempt >= PORT_ATTEMPTS:
            raise StartFailed(
                with_log_tail(f"{name} did not start: it {_ended(one.process.returncode)}.", log)
            )
        self._launch(one.part, port=self._free_port(), attempt=one.attempt + 1)

    def _check_deadline(self, waiting: Sequence[str]) -> None:
        if waiting and time.monotonic() > self.deadline:
            raise StartFailed(
                with_log_tail(
                    f"{' and '.join(waiting)}: not ready after {self.plan.ready_within:g} s.",
                    self.layout.log(waiting[0]),
                )
            )

    def _watch(self) -> NoReturn:
        """Wait for the end; a server that ends before is started again, as it was.

        That is what a kubelet does for them in a real cluster, and it lets a test kill one.
        """
        while True:
            self._pause(WATCH)
            for one in tuple(self.launched.values()):
                if one.process.poll() is not None:
                    print(
                        f"{one.part.name} {_ended(one.process.returncode)}: starting it again",
                        file=sys.stderr,
                        flush=True,
                    )
                    # Why it ended stands in its log, which the new one begins anew.
                    log = self.layout.log(one.part.name)
                    log.replace(log.with_suffix(".previous.log"))
                    self._launch(one.part, port=one.port, attempt=1)

    def _pause(self, seconds: float) -> None:
        """Sleep, unless the end of the process that asked is the end of this one too."""
        if self.plan.detached:
            time.sleep(seconds)
            return
        readable, _, _ = select.select([sys.stdin], [], [], seconds)
        # Nothing is ever sent after the plan, so "readable" means closed. The second test is for a
        # copy of our standard input that somebody's forked child holds open.
        if readable or os.getppid() != self.plan.parent:
            raise Stopped

    def _end(self) -> None:
        """End the servers in reverse order."""
        for one in reversed(self.launched.values()):
            processes.end(one.process, grace=GRACE)
        if self.plan.remove:
            folder.clear(self.layout)


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    return f"was ended by {signal.Signals(-status).name}"


def _tell(event: Event) -> None:
    # Who asked may be gone, and then there is nobody to tell.
    with contextlib.suppress(BrokenPipeError):
        print(event.to_json(), flush=True)


def _stop_at(*numbers: signal.Signals) -> None:
    """Turn the first of these signals into Stopped; later ones find the end under way."""

    def handle(_number: int, _frame: object) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise Stopped

    for number in numbers:
        signal.signal(number, handle)


def main() -> int:
    """Read the plan, and be its supervisor."""
    # Keys and tokens are nobody else's business.
    os.umask(0o077)
    plan = Plan.from_json(sys.stdin.readline())
    # A detached supervisor is a grandchild: init collects it, the caller need not wait for it.
    if plan.detached and os.fork():
        os._exit(0)
    me = processes.identity_of(os.getpid())
    if me is None:
        _tell(Event(failed="The control plane needs Linux: there is no /proc here."))
        return 1
    binaries = {name: str(path) for name, path in plan.binaries.items()}
    supervisor = Supervisor(plan, state=State(supervisor=me, audit=plan.audit, binaries=binaries))
    try:
        _stop_at(signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        return supervisor.run()
    except Stopped:
        return 0


if __name__ == "__main__":
    sys.exit(main())
