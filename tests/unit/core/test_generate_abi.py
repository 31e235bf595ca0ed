# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The generator's parser: understands C's integer expressions, refuses everything else."""

import re
from pathlib import Path

import pytest
from generate_abi import HEADERS, HeaderError, evaluate, parse, render
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("0xC4", 196),
        ("(1 << 3)", 8),
        ("1 << 2 | 1", 5),
        ("0x80000000U", 1 << 31),
        ("4096UL * 2", 8192),
        ("'V'", 86),
        ("BASE + 1", 8),
        ("-1", -1),
        ("v4l2_fourcc('R', 'G', 'B', '3')", 0x33424752),
    ],
)
def test_integer_expression_has_its_c_value(expression: str, value: int) -> None:
    assert evaluate(expression, {"BASE": 7}) == value


@pytest.mark.parametrize(
    "expression", ["UNKNOWN", "sizeof(int)", "010", "1 / 2", '"text"', "1.5", "a ? b : c", "1 < 2"]
)
def test_other_expressions_are_refused(expression: str) -> None:
    with pytest.raises(HeaderError):
        evaluate(expression, {})


@given(st.integers(min_value=0, max_value=(1 << 64) - 1), st.sampled_from(["%d", "%#x", "%dULL"]))
def test_literal_of_any_size_survives(number: int, form: str) -> None:
    assert evaluate(form % number, {}) == number


@pytest.mark.parametrize(
    "line",
    [
        "#define MAX(a, b) ((a) > (b) ? (a) : (b))",
        "#define FLAG",
        "#define CALL(x) 1",
        "#define NAME other_name",
        "#if 1",
        "#pragma pack(1)",
        "#include <stdio.h>",
        "#define X 1\n#define X 1",
        "#define CALL _IOW(0xC4, 1)",
        "#define CALL _IOW(0xC4, 256, int)",
    ],
)
def test_line_that_is_not_understood_is_an_error(line: str) -> None:
    with pytest.raises(HeaderError):
        parse(f"#ifndef _H\n#define _H\n{line}\n#endif\n")


def test_comments_are_not_read() -> None:
    header = parse("/* #define A 1 */\n// #define B 2\n#define C 3 /* three */\n")
    assert header.constants == {"C": 3}


def test_ioctl_is_kept_with_direction_and_argument() -> None:
    header = parse("#define MAGIC 0xC4\n#define CALL _IOWR(MAGIC, 0x05, struct thing)\n")
    assert header.ioctls == {"CALL": (3, 0xC4, 5, "struct thing")}


def test_every_define_of_our_header_comes_out() -> None:
    text = HEADERS["core._abi"].read_text()
    header = parse(text)
    defined = set(re.findall(r"(?m)^#define\s+(\w+)", text)) - {"_UAPI_LINUX_CM_H"}
    assert set(header.constants) | set(header.ioctls) == defined


def test_generated_module_needs_no_compiler_of_c(tmp_path: Path) -> None:
    target = tmp_path / "_abi.py"
    render("core._abi", parse(HEADERS["core._abi"].read_text()), target)
    imports = re.findall(r"(?m)^(?:import|from)\s+(\S+)", target.read_text())
    assert imports == ["_cffi_backend"]


def test_argument_too_large_for_an_ioctl_number_is_refused(tmp_path: Path) -> None:
    header = parse("struct big {\n\t__u8 bytes[16384];\n};\n#define CALL _IOW(1, 1, struct big)\n")
    with pytest.raises(HeaderError, match="too large"):
        render("core._abi", header, tmp_path / "_abi.py")
