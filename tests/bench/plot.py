# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Latency by size, a line for each peer, as SVG (matplotlib, the extra `bench`)."""

from __future__ import annotations

from pathlib import Path

from cm_agent.core.size import format_size
from matplotlib.figure import Figure

from bench.noise import Noise
from bench.origin import Origin
from bench.peers import TITLES
from bench.samples import Samples


def plot(origin: Origin, noise: Noise, samples: Samples, name: str, into: Path) -> None:
    """Draw the medians of samples of that name, with a band from there to their p99."""
    sizes = samples.sizes(name)
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes = figure.subplots()
    for peer in samples.peers(name):
        there = [size for size in sizes if samples.values(name, peer, size)]
        p50, p99 = (
            [(samples.percentile(percent, name, peer, size) or 0) / 1e3 for size in there]
            for percent in (50, 99)
        )
        (line,) = axes.plot(there, p50, marker="o", label=TITLES[peer])
        axes.fill_between(there, p50, p99, color=line.get_color(), alpha=0.1)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xticks(sizes, [format_size(size) for size in sizes], rotation=30)
    axes.set_ylabel("microseconds: p50, with a band to p99")
    axes.set_title("\n".join([f"{name} by size", origin.lines()[0], str(noise)]), fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8)
    figure.savefig(into, format="svg", metadata={"Date": None})
