"""What README and docs tell people to type and to read is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from streams.cli.main import app
from tests.conftest import ROOT

PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").glob("*.md"),
                *(ROOT / "models").rglob("*.md")])  # fmt: skip
COMMAND = re.compile(r"(?:^|`)tocsin ([a-z][^`\n]*)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)#\s]*)(?:#([^)\s]*))?\)")


def commands(page: Path) -> Iterator[list[str]]:
    """As they stand in code, line by line or within a sentence."""
    for said in COMMAND.findall(page.read_text().replace("\\\n", " ")):
        for one in re.split(r" && | \| |; ", f"tocsin {said}"):
            words = one.partition(" #")[0].replace('"', "").replace("'", "").split()
            if words[:1] == ["tocsin"]:
                yield [w.partition("=")[0] for w in words[1:]]


def problem(words: list[str]) -> str:
    """Why these words would not be understood; "" where they would."""
    here: Any = typer.main.get_command(app)
    left = list(words)
    while hasattr(here, "commands") and left and not left[0].startswith("-"):
        if left[0] not in here.commands:
            return f"there is no command {left[0]}"
        here, left = here.commands[left[0]], left[1:]
    options = {name for p in here.params for name in (*p.opts, *p.secondary_opts)} | {"--help"}
    unknown = [w for w in left if re.fullmatch(r"--[a-z-]+", w) and w not in options]
    return f"there is no option {', '.join(unknown)}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_command_exists_with_its_options(page: Path) -> None:
    wrong = {" ".join(words): said for words in commands(page) if (said := problem(words))}
    assert wrong == {}


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    """To a file of the repository, and to a heading that it has."""
    dead = []
    for target, heading in LINK.findall(page.read_text()):
        file = page.parent / target if target else page
        if target.startswith("https://"):
            continue
        if not file.exists() or (heading and heading not in headings(file)):
            dead.append(f"{target}#{heading}")
    assert dead == []


def headings(file: Path) -> set[str]:
    """As they are linked to."""
    found = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in found}


def test_what_is_typed_wrong_would_be_found() -> None:
    assert problem(["thresholds", "rollback"]) == "there is no command rollback"
    assert problem(["compare", "--htm", "x"]) == "there is no option --htm"
    assert problem(["thresholds", "roll-back", "--reason", "x"]) == ""
