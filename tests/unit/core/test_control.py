# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The control node's calls, and what is made of the kernel's answers; of a kernel that is data."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cm_agent.cli import main
from cm_agent.core import uapi
from cm_agent.core.control import Control
from cm_agent.core.reports import Quota

MIB = 1 << 20


@pytest.fixture(autouse=True)
def nodes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes of contexts are plain files in a folder of the test's."""
    monkeypatch.setattr("cm_agent.core.context.DEV", tmp_path)


class Kernel:
    """Answer every call with `number` and `error`; note what was asked."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.number, self.error = 0, b""
        self.quota = Quota(3 * MIB, 7, 2 * MIB, 1)

    def submit(self, fd: int, request: str, argument: Any) -> None:
        """Do a request."""
        quota = argument.quota if request == "CM_IOC_GET_QUOTA" else argument
        self.asked.append({"request": request, "name": uapi.text(quota.name)})
        if request == "CM_IOC_CREATE":
            assert not uapi.text(argument.error)
            argument.error = self.error
        else:
            self.asked[-1] |= {name: getattr(quota, name) for name in ("bytes", "uid", "chunks")}
        if self.number:
            raise OSError(self.number, os.strerror(self.number))
        if request == "CM_IOC_GET_QUOTA":
            size, chunks = self.quota.size, self.quota.chunks
            quota.bytes = uapi.QUOTA_NONE if size is None else size
            quota.chunks = uapi.QUOTA_NO_CHUNKS if chunks is None else chunks
            argument.used, argument.used_chunks = self.quota.used, self.quota.used_chunks


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    kernel = Kernel()
    monkeypatch.setattr("cm_agent.core.uapi.submit", kernel.submit)
    monkeypatch.setattr("cm_agent.core.control.bank_names", lambda: ["camera@70000000"])
    return kernel


@pytest.fixture
def control(kernel: Kernel, tmp_path: Path) -> Iterator[Control]:
    for name in ("control", "left"):
        (tmp_path / name).touch()
    with Control() as control:
        yield control


CREATES = {
    "sentence": (
        errno.EINVAL,
        b"bank x is no-map",
        "did not create context 'it': bank x is no-map",
    ),
    "none": (errno.EINTR, b"", "did not create context 'it': Interrupted system call"),
    "overlap": (
        errno.EBUSY,
        b"bank x: 8 bytes from 0 on already belong to another context",
        "belong to another context; take another part (--offset, --size), or destroy that context; "
        "`cm-agent banks` shows which parts are free",
    ),
    "driver": (errno.EBUSY, b"bank x is the memory-region of /vpu", "memory-region of /vpu"),
    "bank": (
        errno.ENOENT,
        b"there is no /reserved-memory/x",
        "'it': there is no /reserved-memory/x; there are camera@70000000",
    ),
    "name": (
        errno.EEXIST,
        b'another context is called "it"',
        "'it': another context is called \"it\"; choose another name, or destroy that one",
    ),
}


@pytest.mark.parametrize("case", CREATES)
def test_a_refusal_has_the_modules_sentence_and_what_to_do(
    kernel: Kernel, control: Control, case: str
) -> None:
    kernel.number, kernel.error, text = CREATES[case]
    with pytest.raises(OSError, match=r"^\[Errno \d+\] did not create context 'it': ") as caught:
        control.create("it", "x")
    assert caught.value.errno == kernel.number
    assert str(caught.value.strerror).endswith(text)


def test_a_context_that_is_not_there_is_answered_with_those_that_are(
    kernel: Kernel, control: Control
) -> None:
    kernel.number = errno.ENOENT
    for call in (lambda: control.quota("it"), lambda: control.set_quota("it", None)):
        with pytest.raises(FileNotFoundError, match="there is no such context; there are left"):
            call()


def test_no_limit_and_nobody_in_particular_have_numbers_of_their_own(
    kernel: Kernel, control: Control
) -> None:
    control.set_quota("left", None)
    control.set_quota("left", 0, uid=1000, chunks=0)
    everybody, user = kernel.asked
    assert (everybody["bytes"], everybody["uid"], everybody["chunks"]) == (
        uapi.QUOTA_NONE,
        uapi.QUOTA_ANYBODY,
        uapi.QUOTA_NO_CHUNKS,
    )
    assert (user["bytes"], user["uid"], user["chunks"]) == (0, 1000, 0)


def test_a_quota_is_read_back_for_the_user_who_is_asked_about(
    kernel: Kernel, control: Control
) -> None:
    assert control.quota("left", 1000) == kernel.quota
    assert kernel.asked == [
        {"request": "CM_IOC_GET_QUOTA", "name": "left", "bytes": 0, "uid": 1000, "chunks": 0}
    ]


EACH = "each user without a quota of their own may have"
LINES = {
    "quota left --user 1000": (
        None,
        "user 1000 may have 3 MiB, in at most 7 chunks; in use: 2 MiB in 1 chunk",
    ),
    "quota left 1MiB": ((MIB, 7), f"{EACH} 1 MiB, in at most 7 chunks"),
    "quota left 0 --chunks none": ((0, uapi.QUOTA_NO_CHUNKS), f"{EACH} 0 B"),
    "quota left none --chunks none --user 0": (
        (uapi.QUOTA_NONE, uapi.QUOTA_NO_CHUNKS),
        "user 0 may have as much as there is",
    ),
    "quota left --chunks 1 --user 0": (
        (3 * MIB, 1),
        "user 0 may have 3 MiB, in at most 1 chunk; root may exceed it",
    ),
    "quota left none --user 1000": (
        (uapi.QUOTA_NONE, 7),
        "user 1000 may have as much as there is, in at most 7 chunks",
    ),
}


@pytest.mark.parametrize("line", LINES)
def test_the_command_sets_what_is_given_and_keeps_the_rest(
    kernel: Kernel,
    control: Control,
    line: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("cm_agent.cli.quota.Control", lambda: control)
    assert main(line.split()) == 0
    limits, text = LINES[line]
    assert capsys.readouterr().out == f"left: {text}\n"
    sets = [it for it in kernel.asked if it["request"] == "CM_IOC_QUOTA"]
    assert [(it["bytes"], it["chunks"]) for it in sets] == ([limits] if limits else [])


@pytest.mark.parametrize(
    "words", ["--chunks -1", "--chunks 4294967295", "8MB", "--user 4294967295"]
)
def test_a_limit_that_cannot_be_ends_with_2(
    kernel: Kernel, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["quota", "left", *words.split()]) == 2
    assert kernel.asked == []
