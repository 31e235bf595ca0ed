# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The module's files in the order that kmod/Kbuild states: none includes or calls one above it."""

from __future__ import annotations

import re
from itertools import chain
from pathlib import Path

import pytest

KMOD = Path(__file__).resolve().parents[3] / "kmod"

# What a file's functions are called besides cm_<file>() and cm_<file>_*(), and why.
OTHER_NAMES = {
    "compaction": r"cm_compact",  # the verb: CM_IOC_COMPACT
    "pin": r"cm_pins_\w+",  # those of one open file
    "placement": r"cm_granule_\w+",  # what a place is made of
    "request": r"cm_demand_\w+",  # what a request is for
    "spec": r"cm_refuse",  # the verb: why a specification is refused
}
# What a file's static functions are called besides <file>_*() and cm_<file>_*(), and why.
OTHER_STATIC_NAMES = {
    "attributes": r"\w+_show",  # DEVICE_ATTR_RO() wants <attribute>_show()
    "module": r"cm_(init|exit)",  # they name the module in an oops, and in initcall_debug
}

COMMENT_OR_TEXT = re.compile(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"', re.DOTALL)
DIRECTIVE = re.compile(r"^#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
INCLUDE = re.compile(r'^#include "(\w+)\.h"', re.MULTILINE)
# A definition begins in the first column, and so does the brace after its head.
FUNCTION = re.compile(r"^(\w[^;{}=()]*?)\b(\w+)\([^;{}]*?\)[^;{}()]*\n\{", re.MULTILINE)
OBJECT = re.compile(
    r"^(?!static|extern|typedef)\w[^;{}=()]*?\b(cm_\w+)(?:\[\w*\])* =", re.MULTILINE
)
# Names that functions may have, too: those of types and of trace events.
NO_FUNCTION = re.compile(r"\b(?:(?:struct|enum|union)\s+|(?:TRACE|DEFINE)_EVENT\()\w+")


class Source:
    """A C file or a header without its comments: what it includes, defines and names."""

    def __init__(self, path: Path) -> None:
        text = path.read_text()
        self.noun = path.stem
        self.includes = set(INCLUDE.findall(text)) - {self.noun}
        bare = COMMENT_OR_TEXT.sub("", text)
        self.code = DIRECTIVE.sub("", bare)
        functions = FUNCTION.findall(self.code)
        self.static = {name for head, name in functions if "static" in head.split()}
        self.functions = {name for _, name in functions} - self.static
        self.defines = self.functions | {*OBJECT.findall(self.code)}
        self.names = set(re.findall(r"\bcm_\w+", NO_FUNCTION.sub("", bare)))


def layers_of(kbuild: str) -> list[str]:
    """Return the nouns of the list that Kbuild builds the module from."""
    (objects,) = re.findall(r"^cm-y := (.*)$", kbuild.replace("\\\n", " "), re.MULTILINE)
    return [name.removesuffix(".o") for name in objects.split()]


LAYERS = layers_of((KMOD / "Kbuild").read_text())
C_FILES = {path.stem: Source(path) for path in sorted(KMOD.glob("*.c"))}
HEADERS = {path.stem: Source(path) for path in sorted(KMOD.glob("*.h"))}


def depth(noun: str) -> int:
    """Return how far down a file is; headers that no C file has a name like are at the bottom."""
    return LAYERS.index(noun) if noun in LAYERS else len(LAYERS)


def definers() -> dict[str, str]:
    """Return for each function, or object, the file that defines it."""
    return {name: noun for noun, file in C_FILES.items() for name in file.defines}


def test_every_file_is_in_the_order_once() -> None:
    assert sorted(LAYERS) == sorted(C_FILES)


def test_no_file_includes_one_above_it() -> None:
    # Whoever includes nothing above itself does not do so through a header either: it is below.
    above = [
        f"{file.noun} includes {included}.h"
        for file in chain(C_FILES.values(), HEADERS.values())
        for included in sorted(file.includes)
        if depth(included) < depth(file.noun)
    ]
    assert not above, "\n".join(above)


def test_no_file_calls_one_above_it() -> None:
    definer = definers()
    above = [
        f"{file.noun} names {name} of {definer[name]}"
        for file in chain(C_FILES.values(), HEADERS.values())
        for name in sorted(file.names & definer.keys() - {*file.defines})
        if depth(definer[name]) < depth(file.noun)
    ]
    assert not above, "\n".join(above)


def test_header_declares_what_its_own_file_defines() -> None:
    definer = definers()
    foreign = [
        f"{noun}.h declares {name} of {definer.get(name)}"
        for noun, header in HEADERS.items()
        for name in sorted(declared_in(header.code))
        if definer.get(name) != noun
    ]
    assert not foreign, "\n".join(foreign)


def declared_in(code: str) -> list[str]:
    """Return the functions that a header declares, but for those that it has the body of."""
    outside = re.sub(r"^\{.*?^\}", ";", code, flags=re.DOTALL | re.MULTILINE)
    return re.findall(r"\b(cm_\w+)\([^;{}]*\);", outside)


@pytest.mark.parametrize("noun", C_FILES)
def test_functions_say_which_file_they_are_in(noun: str) -> None:
    usual, other = rf"cm_{noun}(_\w+)?", OTHER_NAMES.get(noun, usual_only := r"(?!)")
    names = C_FILES[noun].functions
    assert [name for name in sorted(names) if not re.fullmatch(f"{usual}|{other}", name)] == []
    assert other == usual_only or any(re.fullmatch(other, name) for name in names)


@pytest.mark.parametrize("noun", C_FILES)
def test_static_functions_say_which_file_they_are_in(noun: str) -> None:
    usual, other = rf"(cm_)?{noun}_\w+", OTHER_STATIC_NAMES.get(noun, usual_only := r"(?!)")
    names = C_FILES[noun].static
    assert [name for name in sorted(names) if not re.fullmatch(f"{usual}|{other}", name)] == []
    assert other == usual_only or any(re.fullmatch(other, name) for name in names)


# That the expressions above read what they are to read.
EXAMPLE = """\
#include "below.h"
#include <linux/cm.h>
/* cm_comment() */
#define EXAMPLE(name) \\
static int name##_show(void) \\
{ return cm_other_macro(); }
static LIST_HEAD(example_list);
static const struct cm_other_ops example_ops = {
	.get = example_get,
};
const struct cm_other_ops cm_example_ops = {
	.get = example_get,
};
int cm_example_declared(void);
TRACE_EVENT(cm_event,
	TP_PROTO(struct cm_other *other),
);
static struct cm_other *example_find(struct cm_third *third,
				bool (*match)(int value))
{
	return cm_other_find("cm_text", third);
}
void __init cm_example_init(void)
	__acquires(&lock)
{
	if (cm_other_check())
		return;
}
"""


def test_sources_are_read_right(tmp_path: Path) -> None:
    path = tmp_path / "example.c"
    path.write_text(EXAMPLE)
    source = Source(path)
    assert source.includes == {"below"}
    assert source.static == {"example_find"}
    assert source.functions == {"cm_example_init"}
    assert source.defines == {"cm_example_init", "cm_example_ops"}
    assert source.names == {
        "cm_example_declared", "cm_example_init", "cm_example_ops", "cm_other_check",
        "cm_other_find", "cm_other_macro",
    }  # fmt: skip


def test_order_is_read_over_continued_lines() -> None:
    assert layers_of("a := b\ncm-y := c.o \\\n\td.o\n") == ["c", "d"]
