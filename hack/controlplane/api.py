"""A very small client for the API server (and for what the other servers say of their health).

Only what starting and feeding a control plane needs. Tests of the operator use a real client.
"""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came back."""

    code: int
    body: Any
    """Parsed when it is JSON, text otherwise."""

    @property
    def ok(self) -> bool:
        """Whether the request was granted."""
        return 200 <= self.code < 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Api:
    """Where a server is, how to know it, and who we are."""

    url: str
    certificate_authority: Path
    token: str = ""

    def request(
        self, method: str, path: str, body: object = None, *, timeout: float = 30.0
    ) -> Answer:
        """Make one request. Raises OSError or http.client.HTTPException when nobody answers."""
        address = urlsplit(self.url)
        headers = {"Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        if body is not None:
            headers["Content-Type"] = "application/json"
        context = ssl.create_default_context(cafile=self.certificate_authority)
        # Straight to the server: what the environment says about proxies is not for loopback.
        connection = http.client.HTTPSConnection(
            address.hostname or "", address.port, timeout=timeout, context=context
        )
        try:
            payload = None if body is None else json.dumps(body)
            connection.request(method, path, body=payload, headers=headers)
            response = connection.getresponse()
            text = response.read().decode(errors="replace")
        finally:
            connection.close()
        kind = response.headers.get_content_type()
        return Answer(
            code=response.status, body=json.loads(text) if kind == "application/json" else text
        )

    def is_ok(self, path: str) -> bool:
        """Whether a GET is granted now; False also when nobody answers."""
        try:
            return self.request("GET", path, timeout=5.0).ok
        except (OSError, http.client.HTTPException):
            return False
