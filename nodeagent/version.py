"""The agent's own version, as its distribution says it."""

import importlib.metadata


def agent_version() -> str:
    """Return the version, or "unknown" where the code runs without being installed."""
    try:
        return importlib.metadata.version("lmcache-operator")
    except importlib.metadata.PackageNotFoundError:
        return "unknown"
