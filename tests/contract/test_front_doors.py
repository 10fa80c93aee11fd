"""What the README promises exists: make targets, files, options."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted(
    path
    for path in [*REPOSITORY.glob("*.md"), *(REPOSITORY / "docs").rglob("*.md")]
    if path.is_file()
)
VERBS = (
    "generate", "manifests", "build", "fmt", "vet", "test", "lint", "install", "deploy",
    "docker-build", "docker-push", "docker-buildx", "demo", "demo-down",
)  # fmt: skip


def _targets() -> set[str]:
    text = (REPOSITORY / "Makefile").read_text()
    return set(re.findall(r"^([a-z][a-z-]*):", text, flags=re.MULTILINE))


def _code(document: Path) -> str:
    """Return what stands in code blocks and between backticks."""
    hits = re.findall(r"```[a-z]*\n(.*?)```|`([^`\n]+)`", document.read_text(), flags=re.DOTALL)
    return "\n".join(block or inline for block, inline in hits)


@pytest.mark.parametrize("verb", VERBS)
def test_the_verbs_of_the_original_readme_are_there(verb: str) -> None:
    assert verb in _targets()


def test_make_help_lists_every_documented_target() -> None:
    shown = subprocess.run(
        ["make", "help"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    ).stdout
    shown = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    for verb in VERBS:
        assert re.search(rf"\b{verb}\b", shown), verb


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_make_commands_in_documents_exist(document: Path) -> None:
    asked = set(re.findall(r"\bmake ((?:[a-z][a-z-]*)(?: [a-z][a-z-]*)*)", _code(document)))
    named = {word for line in asked for word in line.split()}
    assert named <= _targets(), named - _targets()


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_links_to_files_resolve(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", document.read_text()):
        if not target.startswith(("http://", "https://", "mailto:")):
            assert (document.parent / target).exists(), target


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_files_that_commands_name_exist(document: Path) -> None:
    for path in re.findall(r"(?:-f|-k) (deploy/[\w./-]+)", _code(document)):
        assert (REPOSITORY / path).exists(), path
