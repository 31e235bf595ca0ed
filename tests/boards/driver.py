# SPDX-License-Identifier: MIT
"""labgrid's view of an emulated board: power, and where its SSH port is.

labgrid's own QEMUDriver knows no initramfs and keeps the serial console in a socket that somebody
must read; ours boots an image of this package and writes the console to a file.
"""

import os
from dataclasses import replace
from typing import ClassVar

import attr
from labgrid.driver import Driver
from labgrid.factory import target_factory
from labgrid.protocol import PowerProtocol
from labgrid.step import step

from . import image
from .board import PROJECT, read
from .emulator import Emulator, overlay_paths

LOGS = PROJECT / "build/log"


@target_factory.reg_driver
@attr.s(eq=False)
class EmulatedBoardDriver(Driver, PowerProtocol):
    """Power of an emulated board.

    Args:
        board: name of a directory in tests/boards
        overlays: device tree overlays below the project; None for the board's own list
        memory_mib: RAM in MiB; None for the board's own
    """

    bindings: ClassVar = {"networkservice": "NetworkService"}
    board = attr.ib(validator=attr.validators.instance_of(str))
    overlays = attr.ib(
        default=None, validator=attr.validators.optional(attr.validators.instance_of(list))
    )
    memory_mib = attr.ib(
        default=None, validator=attr.validators.optional(attr.validators.instance_of(int))
    )

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self.description = read(self.board)
        if self.memory_mib is not None:
            qemu = replace(self.description.qemu, memory_mib=self.memory_mib)
            self.description = replace(self.description, qemu=qemu)
        self.emulator = None

    @property
    def console(self):
        """The file that the serial console is written to."""
        names = [self.target.name, os.environ.get("PYTEST_XDIST_WORKER", "")]
        extra = "".join(f"-{name}" for name in names if name not in ("", "main"))
        return LOGS / f"console-{self.board}{extra}.log"

    @property
    def keyfile(self):
        """The private key that opens root's door on the board."""
        return image.make(self.description).key

    @Driver.check_active
    @step()
    def on(self):
        """Start QEMU and return when its SSH server greets."""
        if self.emulator is not None:
            return
        overlays = overlay_paths(self.description)
        if self.overlays is not None:
            overlays = [PROJECT / name for name in self.overlays]
        emulator = Emulator(self.description, image.make(self.description), overlays, self.console)
        emulator.start()
        self.emulator = emulator
        self.networkservice.port = emulator.ports["ssh"]
        emulator.wait_for_ssh()

    @Driver.check_active
    @step()
    def off(self):
        """Stop QEMU."""
        if self.emulator is not None:
            self.emulator.stop()
            self.emulator = None

    @Driver.check_active
    @step()
    def cycle(self):
        """Stop QEMU and start it again."""
        self.off()
        self.on()

    def on_deactivate(self):
        """Stop QEMU when labgrid lets go of the board."""
        if self.emulator is not None:
            self.emulator.stop()
            self.emulator = None
