# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Generate the Python side of the ABI from the C headers: `python agent/generate_abi.py`.

The result is pure Python and the same for every architecture: cffi lays structures out when the
module is imported, and ioctl numbers are kept as (direction, type, number, C type), because the
size of the type is a part of them.

What the parser does not understand it refuses; nothing is skipped in silence.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import cffi

AGENT = Path(__file__).resolve().parent
PACKAGE = AGENT / "cm_agent"
HEADERS = {
    "core._abi": AGENT.parent / "kmod/include/uapi/linux/cm.h",
    "video._abi": AGENT / "cdef/v4l2.h",
}

# Of the C library; cffi lets other threads run meanwhile.
FUNCTIONS = {
    "core._abi": "int ioctl(int, unsigned long, ...);\n"
    "void *mmap(void *, size_t, int, int, int, long);\n"
    "void *mremap(void *, size_t, size_t, int, ...);\n"
    "int munmap(void *, size_t);\n"
}

# include/uapi/asm-generic/ioctl.h, as every architecture of interest has it.
DIRECTIONS = {"_IO": 0, "_IOW": 1, "_IOR": 2, "_IOWR": 3}

KERNEL_TYPES = {
    f"__{letter}{bits}": f"{sign}int{bits}_t"
    for letter, sign in (("u", "u"), ("s", ""))
    for bits in (8, 16, 32, 64)
} | {"__le32": "uint32_t"}
KNOWN_INCLUDES = {"linux/ioctl.h", "linux/types.h", "linux/videodev2.h"}

COMMENT = re.compile(r"/\*.*?\*/|//[^\n]*", re.DOTALL)
DEFINE = re.compile(r"(\w+)\s+(.+)")
IOCTL = re.compile(r"(_IO|_IOR|_IOW|_IOWR)\((.*)\)")
INTEGER_SUFFIX = re.compile(r"\b(0[xX][0-9a-fA-F]+|[0-9]+)(?:[uU][lL]{0,2}|[lL]{1,2}[uU]?)\b")


class HeaderError(Exception):
    """A header holds something that the generator does not understand."""


@dataclass(frozen=True, slots=True)
class Header:
    """What was read from one header: cffi declarations, constants and ioctls."""

    declarations: str
    constants: dict[str, int] = field(default_factory=dict)
    ioctls: dict[str, tuple[int, int, int, str]] = field(default_factory=dict)


def evaluate(expression: str, constants: dict[str, int]) -> int:
    """Return the value of a C integer expression made of literals, constants and operators."""
    try:
        tree = ast.parse(INTEGER_SUFFIX.sub(r"\1", expression.strip()), mode="eval")
    except SyntaxError as error:
        raise HeaderError(f"not an integer expression: {expression!r}") from error
    return _value(tree.body, constants)


# Only operators that bind alike in C and in Python.
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.LShift: lambda a, b: a << b,
    ast.BitOr: lambda a, b: a | b,
    ast.BitAnd: lambda a, b: a & b,
    ast.Add: lambda a, b: a + b,
    ast.Sub: lambda a, b: a - b,
    ast.Mult: lambda a, b: a * b,
}


def _value(node: ast.expr, constants: dict[str, int]) -> int:
    match node:
        case ast.Constant(value=int(number)):
            return number
        case ast.Constant(value=str(text)) if len(text) == 1:
            return ord(text)
        case ast.Name(id=name) if name in constants:
            return constants[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, constants)
        case ast.BinOp(left=left, op=operator, right=right) if type(operator) in _OPERATORS:
            return _OPERATORS[type(operator)](_value(left, constants), _value(right, constants))
        case ast.Call(func=ast.Name(id="v4l2_fourcc"), args=[_, _, _, _] as letters):
            return sum(_value(n, constants) << 8 * i for i, n in enumerate(letters))
    raise HeaderError(f"not understood in an integer expression: {ast.unparse(node)!r}")


def parse(text: str) -> Header:
    """Split a header into cffi declarations, integer constants and ioctls."""
    lines = COMMENT.sub(" ", text).replace("\\\n", " ").splitlines()
    header = Header("")
    declarations = []
    guard: str | None = None
    for number, line in enumerate(lines, start=1):
        if not line.lstrip().startswith("#"):
            declarations.append(line)
            continue
        directive, _, rest = line.lstrip().removeprefix("#").strip().partition(" ")
        rest = rest.strip()
        if directive == "ifndef" and guard is None:
            guard = rest
        elif directive == "define" and rest == guard:
            continue
        elif directive == "define":
            _define(rest, header)
        elif directive == "include" and rest.strip('<>"') in KNOWN_INCLUDES:
            continue
        elif not (directive == "endif" and guard is not None):
            raise HeaderError(f"line {number} (comments taken out) not understood: {line!r}")
    return Header("\n".join(declarations), header.constants, header.ioctls)


def _define(rest: str, header: Header) -> None:
    match = DEFINE.fullmatch(rest)
    if match is None:
        raise HeaderError(f"not understood: #define {rest}")
    name, value = match.groups()
    if name in header.constants or name in header.ioctls:
        raise HeaderError(f"{name} is defined twice")
    if ioctl := IOCTL.fullmatch(value):
        header.ioctls[name] = _ioctl(name, ioctl[1], ioctl[2].split(","), header)
    else:
        try:
            header.constants[name] = evaluate(value, header.constants)
        except HeaderError as error:
            raise HeaderError(f"#define {name}: {error}") from error


def _ioctl(
    name: str, macro: str, arguments: list[str], header: Header
) -> tuple[int, int, int, str]:
    if len(arguments) != (2 if macro == "_IO" else 3):
        raise HeaderError(f"#define {name}: {macro} with {len(arguments)} arguments")
    kind, nr = (evaluate(argument, header.constants) for argument in arguments[:2])
    if not (0 <= kind < 256 and 0 <= nr < 256):
        raise HeaderError(f"#define {name}: type and number must fit into a byte")
    return DIRECTIONS[macro], kind, nr, arguments[2].strip() if len(arguments) == 3 else ""


def render(module: str, header: Header, target: Path) -> None:
    """Write the binding of a header to target: cffi's module and IOCTLS after it."""
    used = {name for name in KERNEL_TYPES if re.search(rf"\b{name}\b", header.declarations)}
    declared = set(re.findall(r"\btypedef\b[^;]*\b(\w+)\s*;", header.declarations))
    typedefs = "".join(
        f"typedef {KERNEL_TYPES[name]} {name};\n" for name in sorted(used - declared)
    )
    constants = "".join(f"#define {name} {value}\n" for name, value in header.constants.items())
    ffi = cffi.FFI()
    ffi.cdef(typedefs + constants + header.declarations + FUNCTIONS.get(module, ""))
    for name, (_, _, _, c_type) in header.ioctls.items():
        if c_type and ffi.sizeof(c_type) >= 1 << 14:
            raise HeaderError(f"#define {name}: {c_type} is too large for an ioctl number")
    ffi.set_source(f"cm_agent.{module}", None)
    with TemporaryDirectory() as scratch:
        emitted = Path(scratch) / target.name
        ffi.emit_python_code(str(emitted))
        binding = emitted.read_text()
    replace(
        target,
        "# SPDX-License-Identifier: MIT\n"
        "# SPDX-FileCopyrightText: 2026 cm-agent authors\n"
        "# mypy: ignore-errors\n"
        f"{binding}\n"
        "IOCTLS = {\n"
        + "".join(f"    {name!r}: {value!r},\n" for name, value in header.ioctls.items())
        + "}\n",
    )


def place(module: str) -> Path:
    """Return where a module of the package is written."""
    return PACKAGE / f"{module.replace('.', '/')}.py"


def replace(target: Path, text: str) -> None:
    """Write a file in one step, and only when it says something else: others may be reading it."""
    if target.exists() and target.read_text() == text:
        return
    partial = target.with_name(f"{target.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(target)


def main() -> int:
    """Generate all bindings into the package; return the exit code."""
    for module, source in HEADERS.items():
        try:
            render(module, parse(source.read_text()), place(module))
        except (HeaderError, OSError, cffi.CDefError, cffi.FFIError) as error:
            print(f"generate_abi: {source}: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
