"""Requests to the API server over the shared session: the few verbs that the coordinator uses."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import aiohttp

from coordinator.errors import (
    ApiConflict,
    ApiError,
    ApiUnavailable,
    Forbidden,
    Gone,
    Invalid,
    NamespaceTerminating,
    NotFound,
)
from coordinator.kube.resources import Manifest, Resource, resource_of
from coordinator.kube.session import Cluster

FIELD_MANAGER = "lmcache-operator"
REQUEST_TIMEOUT_SECONDS = 15.0
LIST_CHUNK = 500

# Called after every request with verb, plural and HTTP status (0: no answer).
RequestObserver = Callable[[str, str, int], None]


class KubeClient:
    """Talks to one API server; owns the session, which kopf may share."""

    def __init__(self, cluster: Cluster, *, observe: RequestObserver | None = None) -> None:
        self._cluster = cluster
        self._observe = observe or (lambda _verb, _plural, _status: None)
        self._session: aiohttp.ClientSession | None = None

    @property
    def server(self) -> str:
        """Return the URL of the API server, without a slash at its end."""
        return self._cluster.server

    @property
    def session(self) -> aiohttp.ClientSession:
        """Return the session, opened anew if its last holder closed it.

        kopf closes a session whose credentials it takes for expired.
        """
        if self._session is None or self._session.closed:
            self._session = self._cluster.open_session()
        return self._session

    async def close(self) -> None:
        """Close the session."""
        if self._session is not None:
            await self._session.close()

    async def get(self, resource: Resource, *, namespace: str | None = None, name: str) -> Manifest:
        """Read one object. Raises NotFound and the other ApiErrors."""
        return await self._request("get", resource, resource.path(namespace=namespace, name=name))

    async def get_path(self, path: str) -> Manifest:
        """Read a path that is no object, such as a discovery document."""
        return await self._request("get", Resource("", "", "discovery"), path)

    async def list_chunks(
        self, resource: Resource, *, label_selector: str = "", field_selector: str = ""
    ) -> AsyncIterator[Manifest]:
        """List all objects of the cluster in chunks; yields the List documents."""
        token = ""
        while True:
            params = {"limit": str(LIST_CHUNK)}
            if label_selector:
                params["labelSelector"] = label_selector
            if field_selector:
                params["fieldSelector"] = field_selector
            if token:
                params["continue"] = token
            page = await self._request("list", resource, resource.path(), params=params)
            yield page
            token = page["metadata"].get("continue", "")
            if not token:
                return

    async def apply(self, manifest: Mapping[str, Any]) -> Manifest:
        """Server-side apply, forced: what the manifest says is then true, whoever set it before."""
        metadata = manifest["metadata"]
        resource = resource_of(manifest)
        return await self._request(
            "apply",
            resource,
            resource.path(namespace=metadata["namespace"], name=metadata["name"]),
            method="PATCH",
            params={"fieldManager": FIELD_MANAGER, "force": "true"},
            body=manifest,
            content_type="application/apply-patch+yaml",
        )

    async def replace(self, manifest: Mapping[str, Any]) -> Manifest:
        """Replace an object as a whole; its resourceVersion guards against a lost update."""
        metadata = manifest["metadata"]
        resource = resource_of(manifest)
        return await self._request(
            "update",
            resource,
            resource.path(namespace=metadata["namespace"], name=metadata["name"]),
            method="PUT",
            params={"fieldManager": FIELD_MANAGER},
            body=manifest,
        )

    async def create(self, resource: Resource, manifest: Mapping[str, Any]) -> Manifest:
        """Create an object."""
        return await self._request(
            "create",
            resource,
            resource.path(namespace=manifest["metadata"].get("namespace")),
            method="POST",
            params={"fieldManager": FIELD_MANAGER},
            body=manifest,
        )

    async def merge_patch(
        self,
        resource: Resource,
        patch: Mapping[str, Any],
        *,
        namespace: str | None,
        name: str,
        subresource: str = "",
    ) -> Manifest:
        """Send an RFC 7386 merge patch."""
        path = resource.path(namespace=namespace, name=name)
        return await self._request(
            "patch",
            resource,
            f"{path}/{subresource}" if subresource else path,
            method="PATCH",
            params={"fieldManager": FIELD_MANAGER},
            body=patch,
            content_type="application/merge-patch+json",
        )

    async def delete(self, manifest: Mapping[str, Any]) -> None:
        """Delete exactly this object (by UID), in the background; its absence is no error."""
        metadata = manifest["metadata"]
        resource = resource_of(manifest)
        with contextlib.suppress(NotFound):
            await self._request(
                "delete",
                resource,
                resource.path(namespace=metadata["namespace"], name=metadata["name"]),
                method="DELETE",
                body={
                    "apiVersion": "v1",
                    "kind": "DeleteOptions",
                    "preconditions": {"uid": metadata["uid"]},
                    "propagationPolicy": "Background",
                },
            )

    async def watch(
        self, resource: Resource, *, params: Mapping[str, str], silence_seconds: float
    ) -> AsyncIterator[Manifest]:
        """Yield watch events until the server ends the stream.

        Raises ApiUnavailable when nothing, not even a bookmark, came for `silence_seconds`: a watch
        whose connection died quietly looks just like a cluster where nothing happens.
        """
        try:
            async with self.session.get(
                self.server + resource.path(),
                params={**params, "watch": "true", "allowWatchBookmarks": "true"},
                timeout=aiohttp.ClientTimeout(
                    total=None, sock_connect=5, sock_read=silence_seconds
                ),
            ) as response:
                self._observe("watch", resource.plural, response.status)
                if response.status >= 400:
                    raise _error(response, await response.read())
                tail = b""
                async for chunk in response.content.iter_any():
                    *lines, tail = (tail + chunk).split(b"\n")
                    for line in lines:
                        yield json.loads(line)
        except ValueError as error:
            raise ApiUnavailable(f"watch of {resource.plural} sent what is no JSON") from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"watch of {resource.plural} broke: {_words(error)}") from error

    async def _request(
        self,
        verb: str,
        resource: Resource,
        path: str,
        *,
        method: str = "GET",
        params: Mapping[str, str] | None = None,
        body: Mapping[str, Any] | None = None,
        content_type: str = "application/json",
    ) -> Manifest:
        status = 0
        try:
            async with asyncio.timeout(REQUEST_TIMEOUT_SECONDS):
                async with self.session.request(
                    method,
                    self.server + path,
                    params=params,
                    data=None if body is None else json.dumps(body).encode(),
                    headers={"Content-Type": content_type},
                ) as response:
                    status = response.status
                    payload = await response.read()
                    if status >= 400:
                        raise _error(response, payload)
                    answer: Manifest = json.loads(payload)
                    return answer
        except ValueError as error:
            raise ApiUnavailable(
                f"{verb} of {resource.plural}: what answers at {self.server} is no API server"
            ) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ApiUnavailable(f"{verb} of {resource.plural} failed: {_words(error)}") from error
        finally:
            self._observe(verb, resource.plural, status)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _error(response: aiohttp.ClientResponse, payload: bytes) -> ApiError:
    status = response.status
    reason, message = "", ""
    causes: list[dict[str, Any]] = []
    try:
        document = json.loads(payload)
    except ValueError:
        message = payload[:200].decode(errors="replace")
    else:
        if isinstance(document, dict) and document.get("kind") == "Status":
            reason = document.get("reason", "")
            message = document.get("message", "")
            causes = (document.get("details") or {}).get("causes") or []
    message = message or f"the API server answered {status}"
    match status:
        case 404:
            return NotFound(message, status=status, reason=reason)
        case 409:
            return ApiConflict(message, status=status, reason=reason)
        case 410:
            return Gone(message, status=status, reason=reason)
        case 403 if any(cause.get("reason") == "NamespaceTerminating" for cause in causes):
            return NamespaceTerminating(message, status=status, reason=reason)
        case 403:
            return Forbidden(message, status=status, reason=reason)
        case 400 | 422:
            return Invalid(message, status=status, reason=reason)
        case 429 | 500 | 502 | 503 | 504:
            return ApiUnavailable(
                message, status=status, reason=reason, retry_after=_retry_after(response)
            )
    return ApiError(message, status=status, reason=reason)


def _retry_after(response: aiohttp.ClientResponse) -> float | None:
    value = response.headers.get("Retry-After", "")
    return float(value) if value.isdigit() else None
