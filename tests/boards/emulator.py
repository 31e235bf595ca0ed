# SPDX-License-Identifier: MIT
"""One running emulated board: QEMU started, asked for its ports, and stopped."""

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from . import devicetree
from . import image as images
from .board import PROJECT, Board
from .error import BoardError

LIMIT_SECONDS = 3600
START_SECONDS = 30
SSH_SECONDS = 180
DISK_BYTES = 256 << 20
# No whole number of pages, so that a transfer's end is seen.
FILE_BYTES = (1 << 20) + 1234


@dataclass
class Emulator:
    """A QEMU process. Synchronization: one thread, the one that started it (it dies with it); for
    screen() any.
    """

    board: Board
    image: images.Image
    overlays: Sequence[Path]
    console: Path
    ports: dict[str, int] = field(default_factory=dict)
    _process: subprocess.Popen | None = None
    _scratch: Path | None = None
    _monitor: "Monitor | None" = None

    def start(self) -> None:
        """Start QEMU and learn which host ports lead to the board's."""
        self._scratch = Path(tempfile.mkdtemp(prefix="cm-board-"))
        tree = self._scratch / "board.dtb"
        devicetree.merge(self.board, self.overlays, tree)
        self._make_files()
        self.console.parent.mkdir(parents=True, exist_ok=True)
        self.console.unlink(missing_ok=True)
        command = ["setpriv", "--pdeathsig", "TERM", "timeout", "--kill-after=5"]
        command += [str(LIMIT_SECONDS * self.board.patience)]
        command += command_line(self.board, self.image, tree, self.console)
        command += self._attach_files()
        command += ["-qmp", f"unix:{self._scratch}/qmp,server=on,wait=off"]
        with (self._scratch / "qemu.err").open("w") as said:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,
            )
        self._monitor = self._connect()
        self.ports = self._monitor.forwarded_ports(self.board.qemu.forward)

    def stop(self) -> None:
        """Stop QEMU; no error when it has ended already."""
        if self._process is None:
            return
        if self.running() and self._monitor is not None:
            self._monitor.quit()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._process = self._monitor = None
        shutil.rmtree(self._scratch, ignore_errors=True)

    def running(self) -> bool:
        """Tell whether QEMU runs."""
        return self._process is not None and self._process.poll() is None

    def wait_for_ssh(self) -> None:
        """Return when the board's SSH server greets; say what the console showed if it doesn't."""
        seconds = SSH_SECONDS * self.board.patience
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            if not self.running():
                raise BoardError(f"QEMU of {self.board.name} ended early: {self.tail()}")
            try:
                address = ("127.0.0.1", self.ports["ssh"])
                with socket.create_connection(address, timeout=5) as link:
                    if link.recv(4) == b"SSH-":
                        return
            except OSError:
                pass
            time.sleep(0.2)
        raise BoardError(
            f"{self.board.name}: no SSH greeting within {seconds:.0f} s; {self.tail()}"
        )

    def tail(self, lines: int = 15) -> str:
        """Return where the console's log is, and how it ends."""
        text = self.console.read_text(errors="replace") if self.console.exists() else ""
        return f"console log {self.console} ends with:\n" + "\n".join(text.splitlines()[-lines:])

    @property
    def file(self) -> Path:
        """The file of this machine that the board finds in its fw_cfg device, if it has one."""
        return self._scratch / "file"

    def screen(self, into: Path) -> None:
        """Write what the board's display shows to a PPM file."""
        self._monitor.screendump(into)

    def _make_files(self) -> None:
        if self.board.qemu.disk:
            with (self._scratch / "disk").open("wb") as disk:
                disk.truncate(DISK_BYTES)
        if self.board.qemu.fw_cfg:
            self.file.write_bytes(os.urandom(FILE_BYTES))

    def _attach_files(self) -> list[str]:
        qemu, words = self.board.qemu, []
        if qemu.disk:
            words += ["-drive", f"{qemu.disk},format=raw,file={self._scratch}/disk"]
        if qemu.fw_cfg:
            words += ["-fw_cfg", f"name={qemu.fw_cfg},file={self.file}"]
        return words

    def _connect(self) -> "Monitor":
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.running():
            try:
                return Monitor(self._scratch / "qmp")
            except (FileNotFoundError, ConnectionRefusedError):
                time.sleep(0.05)
        said = (self._scratch / "qemu.err").read_text()
        self.stop()
        raise BoardError(f"QEMU of {self.board.name} did not start: {said or 'it said nothing'}")


class Monitor:
    """QEMU's machine protocol over a Unix socket. Synchronization: none required."""

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(START_SECONDS)
        try:
            self._socket.connect(str(path))
        except OSError:
            self._socket.close()
            raise
        self._lines = self._socket.makefile("r")
        self._lines.readline()
        self._command("qmp_capabilities")

    def forwarded_ports(self, names: dict[str, int]) -> dict[str, int]:
        """Return the host port QEMU chose for each named board port."""
        text = self._command("human-monitor-command", {"command-line": "info usernet"})
        chosen = {}
        for words in map(str.split, text.splitlines()):
            if words and words[0] == "TCP[HOST_FORWARD]":
                chosen[int(words[5])] = int(words[3])
        return {name: chosen[port] for name, port in names.items()}

    def screendump(self, into: Path) -> None:
        """Have the display updated, and written to a PPM file."""
        self._command("screendump", {"filename": str(into)})

    def quit(self) -> None:
        """Ask QEMU to end."""
        with suppress(OSError, BoardError):
            self._command("quit")
        self._lines.close()
        self._socket.close()

    def _command(self, name: str, arguments: dict | None = None) -> str:
        request = {"execute": name, "arguments": arguments or {}}
        with self._lock:
            self._socket.sendall(json.dumps(request).encode() + b"\n")
            while line := self._lines.readline():
                answer = json.loads(line)
                if "error" in answer:
                    raise BoardError(f"QEMU refused {name}: {answer['error'].get('desc')}")
                if "return" in answer:
                    return answer["return"]
        raise BoardError(f"QEMU ended before it answered {name}")


def overlay_paths(board: Board) -> list[Path]:
    """Return the overlays the board boots with unless told otherwise."""
    return [PROJECT / name for name in board.overlays]


def command_line(board: Board, image: images.Image, tree: Path, console: Path) -> list[str]:
    """Return QEMU's command line, with the serial console going to a file."""
    qemu = board.qemu
    forwards = "".join(f",hostfwd=tcp:127.0.0.1:0-:{port}" for port in qemu.forward.values())
    card = ["-nic", f"user,model={qemu.nic}"] if qemu.nic else ["-netdev", "user,id=net"]
    card[1] += forwards
    devices = [word for device in qemu.devices for word in ("-device", device)]
    return [
        f"qemu-system-{qemu.system}", "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", qemu.machine, "-cpu", qemu.cpu, "-smp", str(qemu.cpus),
        "-m", f"{qemu.memory_mib}M", "-accel", "tcg,thread=multi,tb-size=512", "-no-reboot",
        "-kernel", str(image.kernel.image), "-initrd", str(image.initrd), "-dtb", str(tree),
        "-append", board.kernel.command_line,
        "-serial", f"file:{console}",
        *card, *devices,
    ]  # fmt: skip
