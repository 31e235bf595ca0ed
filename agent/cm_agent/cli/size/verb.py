# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`cm-agent size`: how large a bank must be for the cameras and codecs that take memory of it."""

from __future__ import annotations

import argparse
import errno
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

from cm_agent.cli._arguments import (
    add_common,
    add_config,
    byte_count,
    context_name,
    load_config,
)
from cm_agent.cli._output import MisuseError, Problem, show
from cm_agent.cli._parser import Subparsers, add_verb
from cm_agent.cli.size.budget import Bank, banks, shares
from cm_agent.cli.size.grammar import FORMS, Specification, parse
from cm_agent.cli.size.overlay import explain_missing, place, source
from cm_agent.cli.size.report import Answers, Overlay, Report
from cm_agent.core.context import Context
from cm_agent.core.devicetree import context_nodes
from cm_agent.core.memory_map import MemoryMap, block_size
from cm_agent.core.reports import ContextState
from cm_agent.video.demand import Demand, Request, ask, ask_all, compute
from cm_agent.video.device import VideoDevice
from cm_agent.video.discovery import (
    find_any_decoder,
    find_camera,
    find_converter,
    find_decoder,
    find_encoder,
)
from cm_agent.video.error import DeviceLookupError, VideoError

_DESCRIPTION = """\
Show how much memory cameras and codecs take of contexts, to the byte, without allocating any; add
it up for each rule of the policy, next to what its contexts have; and print a device tree overlay
whose banks are large enough. Without a SPEC: every video device that imports dma-bufs, in the
format that it has now; otherwise what the SPECs name, each option as often as needed."""
_EPILOG = f"""\
A SPEC is a device and what it shall do:
  --camera    {FORMS["camera"]}
  --encoder   {FORMS["encoder"]}
  --decoder   the same; FORMAT is that of the packets, TO that of the images
  --converter {FORMS["converter"]}

DEVICE is a path, a node such as video0, or the name of a driver such as vivid; it is asked. What is
left out then, from the right, is as the device has it: --camera vivid, --camera vivid:640x480. For
a format without a DEVICE the size is computed: rows without padding, 4 buffers.
BUFFERS and INPUTS+BUFFERS are the arguments of the same names in Python (default: 4, 4+4).
INPUTS 0: what it reads lies in chunks of the device before it, as in a pipeline without a copy.
Chunks of a device come from the contexts of the policy's rule for its driver, type "common". A
codec that takes several types, such as Samsung's MFC, is counted as "common", too, for now.
Exit codes: 0 the sizes are known, whatever the contexts have; 1 a device did not answer, or there
is none; 2 an unknown device, format or size, or another error in arguments or configuration.

Examples:
  cm-agent size --camera vivid:1920x1080:NV12:4 --encoder vicodec:1920x1080:NV12:FWHT:0+4
  cm-agent size --camera 1920x1080:NV12 --encoder 1920x1080:NV12:H264:0+4 --coded-size 1MiB"""
_UNFIT = (errno.EINVAL, errno.ENOTTY, errno.EOPNOTSUPP)
"""What VideoErrors have that say that a device is of no use here, or has no such format."""
_UNKNOWN = (*_UNFIT, errno.ENOENT, errno.ENODEV, errno.ENXIO, errno.ENOTDIR)
_FINDERS = {
    "camera": find_camera,
    "encoder": find_encoder,
    "decoder": find_any_decoder,
    "converter": find_converter,
}
_IN_USE = "; stop it, or name the format without a DEVICE"


def register(sub: Subparsers) -> None:
    """Add the verb to the command line."""
    what = "show how large the banks of cameras and codecs must be"
    parser = add_verb(sub, "size", what, _DESCRIPTION, _EPILOG)
    for role in FORMS:
        parser.add_argument(f"--{role}", action="append", default=[], metavar="SPEC")
    parser.add_argument(
        "--coded-size",
        type=byte_count,
        default=0,
        metavar="SIZE",
        help="bytes that a packet must have room for (default: what the driver of a DEVICE says)",
    )
    parser.add_argument(
        "--context",
        type=context_name,
        default="shared",
        metavar="NAME",
        help="of devices that no rule of the policy matches (default: %(default)s)",
    )
    add_config(parser)
    add_common(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what devices take, what contexts have, and an overlay."""
    policy = load_config(args).policy
    specifications = list(_specifications(args))
    answers = _named(specifications) if specifications else _all()
    every = shares(answers.demands, policy, args.context)
    states = {name: _state(name) for share in every for name in share.contexts}
    block = block_size()
    wanted = banks(every, states, block)
    report = Report(answers, every, states, wanted, _overlay(wanted, states, block))
    return show(args, report.to_json(), report.lines(), answers.problems)


def _specifications(args: argparse.Namespace) -> Iterator[Specification]:
    for role in FORMS:
        for text in getattr(args, role):
            try:
                yield parse(role, text, args.coded_size)
            except ValueError as error:
                raise MisuseError(f"--{role} {error}") from None


def _named(specifications: Sequence[Specification]) -> Answers:
    return Answers([_ask(it) for it in specifications])


def _ask(it: Specification) -> Demand:
    """Ask or compute; MisuseError for what is not there or has no such format."""
    try:
        if it.device is None:
            return compute(it.role, it.request)
        with VideoDevice(_find(it.role, it.device, it.request)) as device:
            return ask(it.role, device, it.request)
    except ValueError as error:
        hint = "; name a DEVICE, or give --coded-size" if it.device is None else ""
        raise MisuseError(f"--{it.role} {it.text!r}: {error}{hint}") from None
    except DeviceLookupError as error:
        hint = "" if it.request.size else f"; a SPEC is written {FORMS[it.role]}"
        raise MisuseError(f"--{it.role} {it.text!r}: {error}{hint}") from None
    except VideoError as error:
        if error.errno in _UNKNOWN:
            raise MisuseError(f"--{it.role} {it.text!r}: {error}") from None
        raise


def _find(role: str, name: str, request: Request) -> Path:
    if role == "decoder" and request.format:
        return find_decoder(name, request.format)
    return _FINDERS[role](name)


def _all() -> Answers:
    found = list(ask_all())
    errors = [it for it in found if isinstance(it, VideoError)]
    demands = [it for it in found if isinstance(it, Demand)]
    problems = [_problem(it) for it in errors if it.errno not in _UNFIT]
    if not demands and not problems:
        what = "there is no video device that imports dma-bufs; load its driver, or name formats"
        problems = [Problem(f"{what}, such as --camera 1920x1080:NV12")]
    return Answers(demands, [it for it in errors if it.errno in _UNFIT], problems)


def _problem(error: VideoError) -> Problem:
    problem = Problem.of(error)
    if error.errno != errno.EBUSY:
        return problem
    return Problem(problem.message + _IN_USE, problem.errno)


def _state(name: str) -> ContextState | None:
    try:
        with Context(name) as context:
            return context.query()
    except OSError:
        return None


def _overlay(wanted: Sequence[Bank], contexts: Collection[str], block: int) -> Overlay:
    """Return an overlay with these banks, in place of those that the contexts have now."""
    if not wanted:
        return Overlay()
    memory = MemoryMap.read([it.bank for it in context_nodes() if it.bank and it.name in contexts])
    if memory is None:
        return Overlay(why_not="this machine has no device tree; run it on the board for one")
    places = place(wanted, memory, block)
    for bank in wanted:
        if bank.context not in places:
            return Overlay(why_not=explain_missing(bank))
    return Overlay(source(wanted, places, memory, block), places)
