# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The landing page: the contexts at a glance, without scripts or foreign resources."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from cm_agent.core.reports import ContextState
from cm_agent.core.size import format_size
from cm_agent.exporter.registry import Observation

_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1d2430; --soft: #5b6675; --paper: #f5f6f8;
  --card: #fff; --line: #dfe3e8; --used: #3564c4; --hole: #7fb069; --free: #c9e0bd;
  --bad: #b3261e; --good: #2e7d32; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ee; --soft: #9aa5b4;
  --paper: #14181f; --card: #1d232c; --line: #303843; --used: #6b95ee; --hole: #6fa058;
  --free: #3d5233; --bad: #ff8a80; --good: #81c784; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 60rem; margin: 0 auto; padding: 2rem 1.25rem; }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 0; }
.soft { color: var(--soft); } p { margin: .25rem 0 0; }
nav { display: flex; flex-wrap: wrap; gap: .25rem 1.25rem; margin: .75rem 0 1.5rem; }
a { color: var(--used); }
section { background: var(--card); border: 1px solid var(--line); border-radius: .6rem;
  padding: 1rem 1.25rem; margin-bottom: 1rem; }
header { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: baseline; }
.up { color: var(--good); } .down { color: var(--bad); } .state { margin-left: auto; }
.bar { display: flex; height: .8rem; border-radius: .4rem; overflow: hidden;
  background: var(--free); margin: .75rem 0; }
.used { background: var(--used); } .hole { background: var(--hole); }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.5rem, 1fr));
  gap: .5rem 1rem; margin: 0; }
dt { color: var(--soft); font-size: .85rem; }
dt i { display: inline-block; width: .7rem; height: .7rem; border-radius: .2rem;
  margin-right: .35rem; background: var(--free); }
dt i.used { background: var(--used); } dt i.hole { background: var(--hole); }
dd { margin: 0; font-size: 1.1rem; font-variant-numeric: tabular-nums; }
code { font-size: .95em; }
"""


def page(seen: Sequence[Observation], verdicts: Sequence[str], version: str) -> str:
    """Return the page as HTML; `verdicts` has the last verdict of each context, in words."""
    cards = "".join(_card(one, verdict) for one, verdict in zip(seen, verdicts, strict=True))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>cm-agent</title><style>{_STYLE}</style></head><body><main>"
        f'<h1>cm-agent</h1><p class="soft">Contiguous memory on this board, '
        f"version {escape(version)}</p>"
        '<nav><a href="/metrics">Metrics</a><a href="/-/healthy">Health</a>'
        '<a href="/-/ready">Readiness</a></nav>'
        f"{cards or _NONE}</main></body></html>\n"
    )


_NONE: Final = (
    '<section><h2 class="down">No context</h2><p>This board has no context yet. '
    "<code>cm-agent doctor</code> shows what is missing and how to fix it; "
    "a context that appears shows up here by itself.</p></section>"
)


def _card(seen: Observation, verdict: str) -> str:
    if seen.state is None:
        return (
            f'<section><header><h2>{escape(seen.name)}</h2><span class="state down">'
            f"does not answer</span></header><p>{escape(seen.error or 'no reason known')}</p>"
            "<p><code>cm-agent doctor</code> shows how to fix it.</p></section>"
        )
    kind = "private" if seen.state.private else "shared"
    return (
        f'<section><header><h2>{escape(seen.name)}</h2><span class="soft">{kind}</span>'
        f'<span class="state up">answers</span></header>{_bar(seen.state)}'
        f"<dl>{_facts(seen.state, verdict)}</dl></section>"
    )


def _bar(state: ContextState) -> str:
    whole = max(state.size, 1)
    used = 100 * (state.size - state.free) / whole
    hole = 100 * state.largest_hole / whole
    words = escape(
        f"{format_size(state.size - state.free)} in use, "
        f"largest hole {format_size(state.largest_hole)} of {format_size(state.free)} free"
    )
    return (
        f'<div class="bar" role="img" aria-label="{words}" title="{words}">'
        f'<div class="used" style="width:{used:.2f}%"></div>'
        f'<div class="hole" style="width:{hole:.2f}%"></div></div>'
    )


def _facts(state: ContextState, verdict: str) -> str:
    facts = (
        ("", "Size", format_size(state.size)),
        ('<i class="used"></i>', "In use", format_size(state.size - state.free)),
        ("<i></i>", "Free", format_size(state.free)),
        ('<i class="hole"></i>', "Largest hole", format_size(state.largest_hole)),
        ("", "Pinned", format_size(state.pinned)),
        ("", "Chunks", str(state.chunks)),
        ("", "Last verdict", verdict),
    )
    return "".join(
        f"<div><dt>{mark}{name}</dt><dd>{escape(value)}</dd></div>" for mark, name, value in facts
    )
