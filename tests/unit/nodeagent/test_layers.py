"""The agent's layers, as tests: who may import what, and how large a module may grow."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import nodeagent

ROOT = Path(nodeagent.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))
NVML_CHILD = {"nvml/child.py", "nvml/events.py", "nvml/readings.py"}


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


IMPORTS = {name(path): imports(path) for path in MODULES}


def importers(prefix: str) -> set[str]:
    return {
        module
        for module, found in IMPORTS.items()
        if any(each == prefix or each.startswith(f"{prefix}.") for each in found)
    }


def test_only_the_nvml_child_imports_pynvml() -> None:
    assert importers("pynvml") == NVML_CHILD


def test_only_wire_imports_the_protocol() -> None:
    assert importers("lmcache_nodehealth") == {"wire.py"}


def test_the_closure_is_four_packages() -> None:
    top = {each.partition(".")[0] for found in IMPORTS.values() for each in found}
    assert top - sys.stdlib_module_names == {
        "google",
        "grpc",
        "lmcache_nodehealth",
        "nodeagent",
        "prometheus_client",
        "pynvml",
    }


def test_the_nvml_child_imports_little_of_the_agent() -> None:
    reached, frontier = set(), {"nvml/child.py"}
    while frontier:
        module = frontier.pop()
        reached.add(module)
        for each in IMPORTS[module]:
            for candidate in (each, each.rpartition(".")[0]):
                file = candidate.removeprefix("nodeagent.").replace(".", "/") + ".py"
                if candidate.startswith("nodeagent.") and file in IMPORTS and file not in reached:
                    frontier.add(file)
    assert reached == NVML_CHILD | {"nvml/codes.py", "nvml/frames.py", "nvml/library.py"}


def test_only_host_reads_the_host() -> None:
    """Of the modules that run in the agent's own process."""
    readers = {
        module
        for module, path in ((name(path), path) for path in MODULES)
        if "/proc" in (text := path.read_text()) and ("read_text(" in text or "open(" in text)
    }
    assert readers <= {"host.py", "nvml/library.py"}


def test_modules_stay_small() -> None:
    sizes = {name(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {module: size for module, size in sizes.items() if size > 350} == {}
