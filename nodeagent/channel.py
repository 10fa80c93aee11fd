"""The gRPC channel to the operator coordinator: address, encryption, token, deadline."""

import ssl
from pathlib import Path

import grpc

from nodeagent import wire
from nodeagent.errors import ReportRefused
from nodeagent.node_report import Answer, NodeReport
from nodeagent.pacing import DEADLINE
from nodeagent.settings import Settings

# Short against gRPC's default of 120 s: after a failover all nodes must be heard again in 30 s.
_LONGEST_RECONNECT_MILLISECONDS = 5000
_LARGEST_ANSWER = 1 << 20

# Words for the metric; whatever else a coordinator answers is "refused".
_CAUSES = {
    grpc.StatusCode.UNAVAILABLE: "unreachable",
    grpc.StatusCode.DEADLINE_EXCEEDED: "unreachable",
    grpc.StatusCode.UNAUTHENTICATED: "token_refused",
    grpc.StatusCode.PERMISSION_DENIED: "wrong_node",
}

# The connection leads to a coordinator that is not the one to talk to (any more).
_WRONG_PEER = frozenset({grpc.StatusCode.FAILED_PRECONDITION, grpc.StatusCode.UNAVAILABLE})


class CoordinatorChannel:
    """Sends reports, one at a time. The channel is made at the first report."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._channel: grpc.Channel | None = None
        self._call: wire.ReportCall | None = None
        self._authority: bytes | None = None

    def send(self, report: NodeReport) -> Answer:
        """Send a report and return the answer.

        Raises:
            ReportRefused: it did not arrive, or the coordinator refused it.

        """
        self._follow_authority()
        metadata = self._metadata()
        call = self._call or self._open()
        try:
            return call(report, deadline=DEADLINE, metadata=metadata)
        except grpc.RpcError as error:
            raise self._refused(error) from error

    def close(self) -> None:
        """Close the connection."""
        if self._channel is not None:
            self._channel.close()
        self._channel = self._call = None

    def _follow_authority(self) -> None:
        """Read the authority anew for each report: a new one means a new connection."""
        path = self._settings.ca_file
        if self._settings.insecure or path is None:
            return
        try:
            authority = path.read_bytes()
        except OSError as error:
            self.close()
            raise ReportRefused(
                f"the coordinator's certificate authority {path} cannot be read ({error.strerror}):"
                " the coordinator puts it into ConfigMap lmcache-coordinator-ca when it starts",
                cause="authority_missing",
            ) from error
        if authority == self._authority and self._channel is not None:
            return
        self.close()
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(
                cadata=authority.decode("ascii")
            )
        except (ssl.SSLError, ValueError) as error:
            raise ReportRefused(
                f"{path} holds no certificate authority: ConfigMap lmcache-coordinator-ca must not"
                " be edited; delete it, and the coordinator makes it anew",
                cause="authority_unusable",
            ) from error
        self._authority = authority

    def _open(self) -> wire.ReportCall:
        options: list[tuple[str, str | int]] = [
            ("grpc.initial_reconnect_backoff_ms", 500),
            ("grpc.min_reconnect_backoff_ms", 500),
            ("grpc.max_reconnect_backoff_ms", _LONGEST_RECONNECT_MILLISECONDS),
            ("grpc.max_receive_message_length", _LARGEST_ANSWER),
            ("grpc.enable_http_proxy", 0),
        ]
        if self._settings.server_name:
            options.append(("grpc.ssl_target_name_override", self._settings.server_name))
        address = self._settings.coordinator
        if self._settings.insecure:
            self._channel = grpc.insecure_channel(address, options=options)
        else:
            credentials = grpc.ssl_channel_credentials(self._authority)
            self._channel = grpc.secure_channel(address, credentials, options=options)
        self._call = wire.ReportCall(self._channel)
        return self._call

    def _metadata(self) -> tuple[tuple[str, str], ...]:
        """Read the token anew for each call: the kubelet replaces it before it expires."""
        if self._settings.token_file is None:
            return ()
        return (("authorization", f"Bearer {_read_token(self._settings.token_file)}"),)

    def _refused(self, error: grpc.RpcError) -> ReportRefused:
        code = error.code() if isinstance(error, grpc.Call) else None
        details = error.details() if isinstance(error, grpc.Call) else None
        if code in _WRONG_PEER or code is grpc.StatusCode.UNAUTHENTICATED:
            # Resolve the name and read the certificate authority again.
            self.close()
        name = "error" if code is None else code.name
        text = details or str(error)
        if "CERTIFICATE_VERIFY_FAILED" in text or "not allowed by certificate" in text.lower():
            return ReportRefused(
                f"{name}: {self._settings.coordinator} shows a certificate that is not of the"
                f" authority in {self._settings.ca_file}: is it the coordinator?",
                cause="certificate_untrusted",
            )
        cause = "refused" if code is None else _CAUSES.get(code, "refused")
        return ReportRefused(f"{name}: {text[:200]}", cause=cause)


def _read_token(path: Path) -> str:
    """Return the token; raises ReportRefused."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError as error:
        raise ReportRefused(
            f"the token {path} cannot be read ({error.strerror}): mount a projected"
            " ServiceAccount token of audience lmcache-coordinator there",
            cause="token_missing",
        ) from error
