"""Images that a node cannot have: whose, why, and what to do about it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable

from coordinator.render.names import CONTAINER, GATEWAY_CONTAINER
from coordinator.status.containers import Container
from coordinator.status.evidence import Hit, newest, sentence, waiting
from coordinator.status.observed import Observed, Pod

_PULLING = re.compile(
    r"^Back-off pulling image \"[^\"]*\"(: )?|^Failed to pull image \"[^\"]*\": "
    r"|ErrImagePull: |rpc error: code = \w+ desc = "
)
_PULL_REASONS = frozenset(
    {
        "ErrImagePull",
        "ImagePullBackOff",
        "InvalidImageName",
        "ErrImageNeverPull",
        "ImageInspectError",
        "RegistryUnavailable",
        "SignatureValidationFailed",
    }
)
_PULL_REMEDIES: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"unauthorized|denied|authenti|forbidden|no basic auth|\b40[13]\b", re.IGNORECASE
        ),
        "The registry wants a login: check spec.imagePullSecrets and the image's name.",
    ),
    (
        re.compile(r"toomanyrequests|rate limit|\b429\b", re.IGNORECASE),
        "The registry limits pulls: use a mirror or a login by spec.imagePullSecrets.",
    ),
    (
        re.compile(
            r"not found|manifest unknown|does not exist|invalid|couldn't parse", re.IGNORECASE
        ),
        "There is no such image: correct its repository and tag.",
    ),
    (
        re.compile(
            r"no such host|timeout|timed out|refused|unreachable|x509|lookup", re.IGNORECASE
        ),
        "The node cannot reach the registry: check its network, proxy and certificates.",
    ),
    (re.compile(r""), "Check the image's name, the registry, and spec.imagePullSecrets."),
)


def gateway_image_not_pullable(observed: Observed, pod: Pod) -> Hit | None:
    """Report the gateway's image, which is not the engine's to set."""
    return _image(observed, pod, lambda container: container.name == GATEWAY_CONTAINER, "")


def image_not_pullable(observed: Observed, pod: Pod) -> Hit | None:
    """Report an image that a node cannot have."""
    return _image(observed, pod, lambda _container: True, "spec.image")


def _image(
    observed: Observed, pod: Pod, concerns: Callable[[Container], bool], field: str
) -> Hit | None:
    for container in waiting(pod, *_PULL_REASONS):
        if not concerns(container):
            continue
        said = _PULLING.sub("", container.waiting_message)
        if not said:
            trace = newest(observed, pod, "Failed", container=container.name)
            said = _PULLING.sub("", trace.message) if trace else ""
        remedy = next(text for pattern, text in _PULL_REMEDIES if pattern.search(said))
        if container.name == GATEWAY_CONTAINER:
            remedy = "It is a setting of the operator: correct it there, or its pull secret."
        of = f" of {container.title}"
        name = f" ({field})" if field and container.name == CONTAINER else ""
        return Hit(
            f"image {container.image}{of}{name} cannot be pulled"
            f"{f': {sentence(said)}' if said else '.'}",
            remedy,
        )
    return None
