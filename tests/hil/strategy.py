# SPDX-License-Identifier: MIT
"""The states of a board under test: off, shell, module, agent.

| state | what holds |
|---|---|
| off | an emulated board is stopped; a real one is only let go of |
| shell | SSH answers; the module is not loaded, the agent does not run |
| module | module and agent are installed, cm.ko is loaded; nobody allocates by himself |
| agent | `cm-agent.service` is active |
"""

import tarfile
import tempfile
from pathlib import Path
from typing import ClassVar

import attr
from boards import bytecode, module, stage
from boards.board import PROJECT
from boards.error import BoardError
from labgrid.driver import ExecutionError
from labgrid.factory import target_factory
from labgrid.step import step
from labgrid.strategy import Strategy, StrategyError, never_retry

STATES = ("off", "shell", "module", "agent")
UNITS = "cm-agent.service"


@target_factory.reg_driver
@attr.s(eq=False)
class BoardStrategy(Strategy):
    """Moves a board from state to state, one step up or down at a time."""

    bindings: ClassVar = {"power": {"EmulatedBoardDriver", None}, "ssh": "SSHDriver"}
    status = attr.ib(default="off", validator=attr.validators.in_(STATES))

    def __attrs_post_init__(self):
        super().__attrs_post_init__()
        self._installed = False

    @property
    def board_name(self):
        """The emulated board's name, or the real one's address."""
        return self.power.board if self.power else self.ssh.networkservice.address

    @property
    def patience(self):
        """How many times longer than on an ordinary board things may take."""
        return self.power.description.patience if self.power else 1

    @never_retry
    @step(args=["status"])
    def transition(self, status):
        """Bring the board to a state; what failed is told with the console log's end."""
        if status not in STATES:
            raise StrategyError(f"no state {status!r}; there are {', '.join(STATES)}")
        while self.status != status:
            here = STATES.index(self.status)
            up = here < STATES.index(status)
            action = getattr(self, f"_{'up_to' if up else 'down_from'}_{STATES[here + up]}")
            self.logger.info("%s: %s", self.board_name, action.__name__)
            action()
            self.status = STATES[here + 1 if up else here - 1]

    def evidence(self):
        """Return what a person looks at when the board failed."""
        if self.power and self.power.emulator:
            return self.power.emulator.tail()
        return f"console log {self.power.console}" if self.power else f"board {self.board_name}"

    def _up_to_shell(self):
        if self.power:
            self.target.activate(self.power)
            self.power.on()
            self.ssh.keyfile = str(self.power.keyfile)
        self.target.activate(self.ssh)
        self._installed = False
        self._run(f"if grep -q '^cm ' /proc/modules; then {DISARM}; rmmod cm; fi; {SET_UP}")

    def _down_from_shell(self):
        self.target.deactivate(self.ssh)
        if self.power:
            self.power.off()

    def _up_to_module(self):
        if not self._installed:
            if self.power:
                self._install_built_here()
            else:
                self.build_on_board(PROJECT / "kmod", "cm")
            self._install_agent()
            self._installed = True
        self._run("modprobe cm && udevadm settle --timeout=30")

    def _down_from_module(self):
        self._run("rmmod cm")

    def _up_to_agent(self):
        self._run(f"systemctl unmask --runtime --quiet {UNITS}")
        self._run("udevadm trigger --subsystem-match=cm --settle")
        code = self._try(f"systemctl start {UNITS}")
        if code != 0:
            raise BoardError(f"cm-agent.service did not start on {self.board_name}:\n{self._log()}")

    def _down_from_agent(self):
        self._run(DISARM)

    def _install_built_here(self):
        """Install the module that was built for this emulated board's kernel."""
        built = module.make(self.power.description)
        place = f"/lib/modules/{module.release(self.power.description)}/updates"
        self._run(f"mkdir -p {place}")
        self.ssh.put(str(built), f"{place}/cm.ko")
        self._run("depmod")

    def build_on_board(self, sources: Path, name: str):
        """Build a module from our sources with a real board's own headers, and install it."""
        place = f"/var/tmp/{name}-kmod"
        self._send_tree(sources, place)
        self._run(
            f"make -C /lib/modules/$(uname -r)/build M={place} modules"
            f" && mkdir -p /lib/modules/$(uname -r)/updates"
            f" && cp {place}/{name}.ko /lib/modules/$(uname -r)/updates/ && depmod",
            timeout=900,
        )

    def _install_agent(self):
        """Install the agent, compiled, its service held back until the state `agent`."""
        compiling = f"python3 -m compileall -q /{stage.PACKAGES}/cm_agent"
        with tempfile.TemporaryDirectory() as scratch:
            tree = stage.make(Path(scratch) / "stage")
            if self.power:
                bytecode.add(self.power.description.suite, tree)
                compiling = "true"
            self._send_tree(tree, "/")
        self._run(
            f"systemd-sysusers && {compiling} && udevadm control --reload"
            f" && systemctl daemon-reload && systemctl mask --runtime --quiet {UNITS}"
        )

    def _send_tree(self, tree: Path, where: str):
        """Unpack a tree of ours at a place on the board, owned by root."""
        with tempfile.NamedTemporaryFile(suffix=".tar.gz") as archive:
            with tarfile.open(fileobj=archive, mode="w:gz", compresslevel=1) as tar:
                tar.add(tree, ".", filter=_owned_by_root)
            archive.flush()
            self.ssh.put(archive.name, "/tmp/cm-tree.tar.gz")
        self._run(
            f"mkdir -p {where} && tar -C {where} --no-overwrite-dir --keep-directory-symlink"
            " -xzf /tmp/cm-tree.tar.gz && rm /tmp/cm-tree.tar.gz"
        )

    def _run(self, command, timeout=120):
        timeout *= self.patience
        out, err, code = self.ssh.run(command, timeout=timeout, decodeerrors="replace")
        if code != 0:
            said = "\n".join(out + err)
            raise BoardError(
                f"on {self.board_name}: `{command}` ended with {code}\n{said}\n{self.evidence()}"
            )

    def _try(self, command):
        try:
            timeout = 120 * self.patience
            return self.ssh.run(command, timeout=timeout, decodeerrors="replace")[2]
        except ExecutionError as error:
            raise BoardError(f"{self.board_name} is gone: {self.evidence()}") from error

    def _log(self):
        out, _, _ = self.ssh.run(
            f"systemctl status --no-pager -n 30 {UNITS}", timeout=60, decodeerrors="replace"
        )
        return "\n".join(out)


DISARM = f"systemctl stop {UNITS}; systemctl mask --runtime --quiet {UNITS}"


# Linux 5.10 does not move a huge page that is mapped in parts: one of the tests' own processes
# would keep a bank from being taken whole. kmemleak's own scans now and then take minutes on an
# emulated board, and the DMA API's checks fall silent after their first complaint.
SET_UP = """
cd /sys/kernel/mm
if [ -e transparent_hugepage ]; then
    case $(uname -r) in 5.10.*) echo madvise >transparent_hugepage/enabled;; esac
fi
cd /sys/kernel/debug
if [ -e kmemleak ]; then echo scan=off >kmemleak; fi
if [ -e dma-api ]; then echo 1 >dma-api/all_errors; fi
"""


def _owned_by_root(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if member.name.endswith((".o", ".ko", ".mod", ".mod.c", ".cmd")):
        return None
    member.uid = member.gid = 0
    member.uname = member.gname = "root"
    return member
