# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The main job, shown on a real kernel: `make demo` runs this in build/venv.

Boots the emulated board, loads the module, lets udev start the service, allocates and verifies in
every context, streams a camera into each without a copy, and from there through an encoder and a
decoder, shows a decoded frame on the board's display, and scrapes /metrics from this machine.
"""

import json
import os
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from boards import board as descriptions
from boards.board import PROJECT
from boards.booted import booted
from boards.error import BoardError
from boards.progress import step
from boards.remote import RemoteBoard
from hil.scene import PIXEL, picture, screen, serve
from hil.scene import show as show_picture
from labgrid.strategy import StrategyError
from PIL import Image

BOARD = os.environ.get("LG_BOARD", "arm64-virt")
OUTPUT = PROJECT / "build/demo"
METRICS_PORT = 28877
REQUESTS = ("4KiB", "640KiB/64KiB", "16MiB/4MiB")
FRAMES = 100
FPS = 25
# What the codec, which is a program here, keeps up with.
CODED_FRAMES = 300
CODED_FPS = 15


class DemoError(Exception):
    """Something did not hold that the demo is there to show."""


@dataclass
class Report:
    """What was measured, as lines for people."""

    lines: list[str] = field(default_factory=list)

    def add(self, text: str = "") -> None:
        """Append one line or several."""
        self.lines += text.splitlines() or [""]

    def save(self, path: Path) -> None:
        """Write it to a file."""
        path.write_text("\n".join(self.lines) + "\n")


def main() -> int:
    """Run the demo; 0 when everything held, 1 with the reason and where to look otherwise."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    report = Report()
    began = time.monotonic()
    try:
        with booted(BOARD, "agent") as board:
            show(board, report)
    except (BoardError, DemoError, AssertionError, StrategyError, OSError) as error:
        print(f"\ndemo: FAILED: {error}\n", file=sys.stderr)
        print(f"console log: {PROJECT}/build/log/console-{BOARD}.log", file=sys.stderr)
        return 1
    report.add(f"\nboard off again after {time.monotonic() - began:.0f} s; everything held")
    report.save(OUTPUT / "report.txt")
    print("\n" + "\n".join(report.lines))
    return 0


def show(board: RemoteBoard, report: Report) -> None:
    """Do it all and write down what was seen."""
    report.add("# cm-agent demo")
    report.add(f"kernel  {board.check('uname -srm')}")
    report.add(f"service {board.check('systemctl is-active cm-agent.service')}")
    report.add()
    report.add(board.check("cm-agent list"))
    contexts = [it["name"] for it in json.loads(board.check("cm-agent list --json"))["result"]]
    if not contexts:
        raise DemoError("the board has no contexts")
    for context in contexts:
        with step(f"allocating and verifying in context {context}"):
            verify(board, context, report)
    board.check("modprobe vivid n_devs=1 node_types=0x1 allocators=1 && udevadm settle")
    for context in contexts:
        with step(f"streaming {FRAMES} frames into context {context}"):
            stream(board, context, report)
    board.check("modprobe vicodec && udevadm settle")
    with step(f"coding and decoding {CODED_FRAMES} frames in context {contexts[-1]}"):
        code(board, contexts[-1], report)
    if "ramfb" in descriptions.read(BOARD).features:
        with step("showing a decoded frame on the board's display"):
            display(board, contexts[-1], report)
    board.check("rmmod vivid vicodec")
    with step("scraping /metrics from this machine"):
        scrape(board, contexts, report)


def verify(board: RemoteBoard, context: str, report: Report) -> None:
    """Allocate a few chunks in a context and let every witness speak."""
    report.add(f"\n## context {context}: verdicts")
    report.add(board.check(f"cm-agent verify {context} {' '.join(REQUESTS)}"))


def stream(board: RemoteBoard, context: str, report: Report) -> None:
    """Stream from vivid's dma-contig camera and fetch one frame as a picture."""
    said = board.check(
        f"cm-agent stream vivid {context} --frames {FRAMES} --size 640x480"
        f" --fps {FPS} --format RGB3 --save /tmp/frame.png --json",
        timeout=300,
    )
    seen: dict[str, Any] = json.loads(said)["result"]
    picture = OUTPUT / f"frame-{context}.png"
    board.get("/tmp/frame.png", picture)
    # What saving one picture costs is the only copy there may be.
    one_frame = sum(plane["size"] for plane in seen["planes"])
    if seen["bytes_copied_by_cpu"] > one_frame:
        raise DemoError(f"{seen['bytes_copied_by_cpu']:,} bytes were copied by the CPU")
    verdicts = {chunk["verdict"] for chunk in seen["buffers"]}
    report.add(f"\n## context {context}: {seen['card']} -> dma-buf import, no copy")
    report.add(
        f"{seen['frames']} frames {seen['width']}x{seen['height']} {seen['pixelformat']}, "
        f"{seen['fps']:.1f} fps, {seen['dropped']} dropped, {seen['ioctls']} ioctls"
    )
    report.add(
        f"{len(seen['buffers'])} buffers, all {', '.join(sorted(verdicts))}; "
        f"bytes copied while streaming: 0; saved {picture}"
    )


def code(board: RemoteBoard, context: str, report: Report) -> None:
    """Have the camera's frames encoded and decoded again, and fetch the last one of both kinds."""
    said = board.check(
        f"cm-agent stream vivid {context} --frames {CODED_FRAMES} --size 640x480"
        f" --fps {CODED_FPS} --format YU12 --encode vicodec --decode vicodec"
        " --write /tmp/stream.fwht --save-source /tmp/source.png --save /tmp/decoded.png --json",
        timeout=300,
    )
    seen: dict[str, Any] = json.loads(said)["result"]
    for name in ("stream.fwht", "source.png", "decoded.png"):
        board.get(f"/tmp/{name}", OUTPUT / name)
    beside(OUTPUT / "source.png", OUTPUT / "decoded.png", OUTPUT / "side-by-side.png")
    pictures = 2 * 640 * 480 * 3 // 2
    if seen["bytes_copied_by_cpu"] > pictures:
        raise DemoError(f"{seen['bytes_copied_by_cpu']:,} bytes were copied by the CPU")
    places = {chunk["same_place"] for chunk in seen["chunks"] if chunk["reads"]}
    if places != {True}:
        raise DemoError("what one driver filled the next one did not read at the same address")
    devices = " -> ".join(it["driver"] for it in seen["devices"])
    report.add(f"\n## context {context}: {devices}, chunks shared by descriptor, no copy")
    report.add(
        f"{seen['frames']} frames {' -> '.join(seen['formats'])}, {seen['fps']:.1f} fps, "
        f"{seen['dropped']} dropped, {seen['errors']} with errors, {seen['ioctls']} ioctls"
    )
    verdicts = {chunk["verdict"] for chunk in seen["chunks"]}
    report.add(
        f"{len(seen['chunks'])} chunks, all {', '.join(sorted(verdicts))}, read at the physical "
        "addresses they were filled at; bytes copied while streaming: 0"
    )
    ratios = seen["psnr"]
    report.add(
        f"PSNR {ratios['mean']:.1f} dB, at worst {ratios['worst']:.1f} dB, of "
        f"{ratios['compared']} images compared; stream of {seen['written']['bytes']:,} bytes; "
        f"saved {OUTPUT / 'side-by-side.png'}, source and decoded"
    )


def display(board: RemoteBoard, context: str, report: Report) -> None:
    """Have the display read a frame out of the chunk that the decoder left it in."""
    width, height = 640, 480
    with board.talk(serve, context=context) as ask:
        copied = ask("code", "frame", width, height)
        ask("alloc", "configuration", 4096)
        address = ask("pin", "frame")
        show_picture(ask, "configuration", address, width, height)
        shown = screen(board, OUTPUT / "screen.ppm")
        frame = picture(ask("read", "frame", 0, width * height * PIXEL), width, height)
    if shown != frame or frame.getcolors(maxcolors=1) is not None:
        raise DemoError("the display shows something else than what lies in the chunk, or nothing")
    if copied:
        raise DemoError(f"{copied:,} bytes were copied by the CPU")
    (OUTPUT / "screen.ppm").unlink()
    shown.save(OUTPUT / "screen.png")
    report.add(
        f"a decoded frame of {width}x{height}, read by the display at {address:#x}, no copy; "
        f"every pixel is the chunk's; saved {OUTPUT / 'screen.png'}"
    )


def beside(left: Path, right: Path, both: Path) -> None:
    """Put two pictures of one size side by side."""
    with Image.open(left) as one, Image.open(right) as other:
        whole = Image.new("RGB", (one.width + other.width, one.height))
        whole.paste(one, (0, 0))
        whole.paste(other, (one.width, 0))
        whole.save(both)


def scrape(board: RemoteBoard, contexts: list[str], report: Report) -> None:
    """Read /metrics as Prometheus would, and show how it counted the demo."""
    with board.forwarded(METRICS_PORT) as port:
        url = f"http://127.0.0.1:{port}/metrics"
        text = urllib.request.urlopen(url, timeout=30).read().decode()
    (OUTPUT / "metrics.txt").write_text(text)
    samples = [line for line in text.splitlines() if line.startswith("cm_")]
    report.add(f"\n## /metrics: {len(samples)} series, saved in {OUTPUT / 'metrics.txt'}")
    for context in contexts:
        for name in ("cm_up", "cm_allocations_total", "cm_frees_total", "cm_free_bytes"):
            wanted = f'{name}{{context="{context}"}}'
            line = next((line for line in samples if line.startswith(wanted)), None)
            if line is None:
                raise DemoError(f"/metrics has no {wanted}")
            report.add(line)


if __name__ == "__main__":
    sys.exit(main())
