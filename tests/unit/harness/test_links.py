# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Links between the project's pages lead to files and headings that are there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
ELSEWHERE = ("http://", "https://", "mailto:")
CODE = re.compile(r"^(```|~~~).*?^\1", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.+?) *$", re.MULTILINE)


def pages() -> list[Path]:
    """Return the project's own pages, not those of what is built or fetched."""
    found = (path.relative_to(PROJECT) for path in PROJECT.rglob("*.md"))
    return sorted(it for it in found if it.parts[0] not in ("build", ".git"))


def links(page: Path) -> Iterator[str]:
    """Yield where a page's links lead, but for those to other sites."""
    text = CODE.sub("", (PROJECT / page).read_text())
    yield from (it for it in LINK.findall(text) if not it.startswith(ELSEWHERE))


def anchors(page: Path) -> set[str]:
    """Return the names that GitHub gives to a page's headings."""
    headings = HEADING.findall(CODE.sub("", page.read_text()))
    return {re.sub(r"[^\w -]", "", it.lower()).replace(" ", "-") for it in headings}


def problem(page: Path, link: str) -> str | None:
    """Return what is wrong with a link."""
    name, _, anchor = link.partition("#")
    target = (PROJECT / page).parent / name if name else PROJECT / page
    if not target.exists():
        return f"{page}: no file {name}"
    if anchor and anchor not in anchors(target):
        return f"{page}: {name or page} has no heading #{anchor}"
    return None


def test_there_are_pages_with_links() -> None:
    assert {Path("README.md"), Path("kmod/README.md"), Path("tests/hil/README.md")} <= {*pages()}
    assert len([*links(Path("README.md"))]) > 10


@pytest.mark.parametrize("page", pages(), ids=str)
def test_links_lead_somewhere(page: Path) -> None:
    assert [it for link in links(page) if (it := problem(page, link))] == []
