# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`python -m bench.plans`: how often kmod/plan.c makes room, what it copies, how long it takes.

On this machine, with maps that are the same on every run; beside the planner of 1,786 lines that
was there before, which searched by branch and bound and packed bins.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import NamedTuple

from unit.kmod.kernel.host import FAST
from unit.kmod.kernel.planner import Piece, Timed, make_timed
from unit.kmod.plan_case import Case, check_plan

MAPS = 150
PAGES = 16_384  # 64 MiB
LARGEST = 2048
PER_MIB = 256
MANY = 4096


@dataclass(frozen=True)
class Row:
    """What maps of a row have in common, and what was measured before.

    wanted: of the free pages; full, reduced: (plans found, MiB copied by each of them on the
    average), by that planner on these maps, and by it without its search and packing; reviewed:
    plans found by both on the maps of a review, which are others.
    """

    name: str
    pinned: float
    most_align: int
    wanted: tuple[float, float]
    full: tuple[int, float]
    reduced: tuple[int, float]
    reviewed: str


ROWS = (
    Row(
        "nothing pinned, 40-100 % of free wanted", 0, 1, (0.4, 1),
        (150, 5.21), (150, 5.85), "150 150/150",
    ),
    Row(
        "nothing pinned, aligned to 1 MiB, 40-95 %", 0, 256, (0.4, 0.95),
        (135, 5.74), (118, 7.46), "149 137/150",
    ),
    Row("10 % pinned, 30-60 %", 0.1, 1, (0.3, 0.6), (150, 3.13), (150, 3.36), "144 144/144"),
    Row(
        "10 % pinned, aligned, 30-60 %", 0.1, 256, (0.3, 0.6),
        (150, 3.70), (147, 4.81), "145 143/145",
    ),
    Row(
        "25 % pinned, aligned, 20-50 %", 0.25, 256, (0.2, 0.5),
        (148, 3.66), (137, 4.03), "124 116/127",
    ),
    Row("25 % pinned, 50-90 %", 0.25, 1, (0.5, 0.9), (141, 7.70), (117, 8.13), "127  94/150"),
)  # fmt: skip


class Chance(Random):
    """Draws the same with every version of Python."""

    def below(self, end: int) -> int:
        """Return a number from 0 on."""
        return int(self.random() * end)

    def between(self, low: float, high: float) -> float:
        """Return a number in a range."""
        return low + (high - low) * self.random()

    def align(self, most: int) -> int:
        """Return a power of two."""
        return int(1 << self.below(most.bit_length()))


def up(page: int, align: int) -> int:
    """Return the next page that is aligned."""
    return page + -page % align


def holes(pages: range, pieces: Sequence[Piece]) -> Iterator[range]:
    """Yield what is between pieces."""
    at = pages.start
    for piece in pieces:
        yield range(at, piece.start)
        at = piece.start + piece.count
    yield range(at, pages.stop)


def places(pages: range, pieces: Sequence[Piece], count: int, align: int) -> list[tuple[int, int]]:
    """Return the length of each hole that is long enough, with the place in it."""
    return [
        (len(hole), up(hole.start, align))
        for hole in holes(pages, pieces)
        if up(hole.start, align) + count <= hole.stop
    ]


def fill(chance: Chance, most_align: int, largest: int) -> list[Piece]:
    """Return a map that is full of pieces whose sizes are log-uniform, placed by best fit."""
    pieces: list[Piece] = []
    failures = 0
    while failures < 20:
        count = int(largest ** chance.random() + 0.5)
        align = chance.align(most_align)
        fits = places(range(PAGES), pieces, count, align)
        if fits:
            pieces.append(Piece(min(fits)[1], count, align))
            pieces.sort(key=lambda piece: piece.start)
        else:
            failures += 1
    return pieces


def pin(chance: Chance, pieces: list[Piece], share: float) -> tuple[Piece, ...]:
    """Return the pieces, a share of them fixed."""
    fixed: set[int] = set()
    while len(fixed) < round(share * len(pieces)):
        fixed.add(chance.below(len(pieces)))
    return tuple(replace(piece, fixed=number in fixed) for number, piece in enumerate(pieces))


def draw(row: Row, seed: int) -> Case:
    """Return a map between half and 90 % full, and a request."""
    chance = Chance(seed)
    pieces = fill(chance, row.most_align, LARGEST)
    used = PAGES * chance.between(0.5, 0.9)
    while sum(piece.count for piece in pieces) > used:
        pieces.pop(chance.below(len(pieces)))
    pinned = pin(chance, pieces, row.pinned)
    free = PAGES - sum(piece.count for piece in pieces)
    wanted = max(1, int(free * chance.between(*row.wanted)))
    return Case(range(PAGES), pinned, wanted, chance.align(row.most_align))


def is_due(case: Case) -> bool:
    """Tell whether something must move, and whether what is fixed leaves room at all."""
    fixed = [piece for piece in case.pieces if piece.fixed]
    return not places(case.pages, case.pieces, case.count, case.align) and bool(
        places(case.pages, fixed, case.count, case.align)
    )


def time_of(case: Case, count: int) -> Timed:
    """Return a plan, with what it took on this machine."""
    return make_timed(case.pages, case.pieces, count, case.align, flags=FAST)


def plan_of(case: Case) -> Timed:
    """Return a plan, checked."""
    timed = time_of(case, case.count)
    if timed.plan.place is not None:
        check_plan(case, timed.plan)
    return timed


def cases_of(row: Row) -> Iterator[Case]:
    """Yield the maps of a row."""
    seed = found = 0
    while found < MAPS:
        case = draw(row, seed)
        seed += 1
        if is_due(case):
            found += 1
            yield case


def tell_row(row: Row) -> str:
    """Return a line of the table."""
    timed = [plan_of(case) for case in cases_of(row)]
    costs = [it.plan.cost / PER_MIB for it in timed if it.plan.place is not None]
    return (
        f"{row.name:42} {len(costs):4}/{MAPS} {sum(costs) / len(costs):5.2f} |"
        f" {row.full[0]:4} {row.full[1]:5.2f} | {row.reduced[0]:4} {row.reduced[1]:5.2f} |"
        f" {row.reviewed} | {max(it.steps for it in timed):7,}"
    )


class Longest(NamedTuple):
    """The most that was seen of each."""

    steps: int = 0
    seconds: float = 0
    largest_steps: int = 0
    largest_seconds: float = 0


def many_pieces(seed: int) -> Case:
    """Return a map of 4,096 pieces of 1 to 8 pages, aligned and pinned as it comes."""
    chance, pieces, at = Chance(seed), [], 0
    most_align, spread = (1, 8)[seed % 2], 1 + chance.below(8)
    for _ in range(MANY):
        align = chance.align(most_align)
        at = up(at + chance.below(spread), align)
        pieces.append(Piece(at, 1 + chance.below(8), align))
        at += pieces[-1].count
    pinned = pin(chance, pieces, (0, 0.001, 0.01, 0.1)[seed // 2 % 4])
    free = at - sum(piece.count for piece in pieces)
    wanted = max(1, int(free * chance.between(0, 1) ** 2))
    return Case(range(at), pinned, wanted, chance.align(most_align))


def longest() -> Longest:
    """Return the longest plans of 4,096 pieces; each is made three times, the fastest counts."""
    worst = Longest()
    for seed in range(80):
        case = many_pieces(seed)
        timed = [time_of(case, case.count) for _ in range(3)]
        largest = [time_of(case, 0) for _ in range(3)]
        worst = Longest(
            max(worst.steps, timed[0].steps),
            max(worst.seconds, min(it.seconds for it in timed)),
            max(worst.largest_steps, largest[0].steps),
            max(worst.largest_seconds, min(it.seconds for it in largest)),
        )
    return worst


def main() -> None:
    """Print the table."""
    print(f"{MAPS} maps a row: plans found and MiB copied by each; most steps")
    print(
        f"{'':42} {'this planner':>14} | {'full':>10} | {'reduced':>10} | {'reviewed':11} |   steps"
    )
    for row in ROWS:
        print(tell_row(row), flush=True)
    worst = longest()
    print(
        f"{MANY:,} pieces: at most {worst.steps:,} steps, {worst.seconds * 1e3:.2f} ms a plan on"
        f" this machine; {worst.largest_steps:,} steps, {worst.largest_seconds * 1e3:.2f} ms for"
        " the largest hole"
    )


if __name__ == "__main__":
    main()
