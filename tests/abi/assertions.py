# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Static assertions in C about what the Python side believes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def equal(expression: str, value: int) -> str:
    """Return the assertion that a C expression has a value."""
    return f'_Static_assert((unsigned long long)({expression}) == {value % (1 << 64)}ULL, "");'


def layouts(ffi: Any) -> Iterator[str]:
    """Assert size, offset and signedness of every member of every structure that cffi knows."""
    _, structures, _ = ffi.list_types()
    for name in structures:
        tag = f"struct {name}"
        yield equal(f"sizeof({tag})", ffi.sizeof(tag))
        yield from _members(ffi, tag, "", ffi.typeof(tag).fields)


def _members(ffi: Any, tag: str, prefix: str, fields: Any) -> Iterator[str]:
    for name, member in fields:
        path = prefix + name
        yield equal(f"__builtin_offsetof({tag}, {path})", ffi.offsetof(tag, *path.split(".")))
        yield equal(f"sizeof((({tag} *)0)->{path})", ffi.sizeof(member.type))
        if _is_anonymous(member.type):
            yield from _members(ffi, tag, f"{path}.", member.type.fields)
        elif member.type.kind == "primitive" and member.type.cname != "char":
            signed = int(ffi.cast(member.type, -1)) < 0
            yield equal(f"(__typeof__((({tag} *)0)->{path}))-1 < 1", signed)


def members(ffi: Any) -> Iterator[tuple[str, str]]:
    """Return every structure's tag with the path of every member."""
    _, structures, _ = ffi.list_types()
    for name in structures:
        pending = [("", ffi.typeof(f"struct {name}").fields)]
        while pending:
            prefix, fields = pending.pop()
            for field, member in fields:
                yield name, prefix + field
                if _is_anonymous(member.type):
                    pending.append((f"{prefix}{field}.", member.type.fields))


def _is_anonymous(c_type: Any) -> bool:
    return c_type.kind in ("struct", "union") and "$" in c_type.cname
