# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""Which of the kernel's messages fail a test that runs on a board."""

from __future__ import annotations

from hil.complaint import OF_OTHERS, complaints

BEGIN, END = "------------[ cut here ]------------", "---[ end trace 0000000000000000 ]---"
REST = ["Modules linked in: cm(O)", "Call trace:", " cm_dmabuf_map+0x220/0x8e0 [cm]", END]
WARNING = "WARNING: CPU: 0 PID: 123 at kernel/dma/debug.c:1181 debug_dma_map_sg+0x594/0x9fc"
LEAK = "DMA-API: cm-context 0.shared: device driver has pending DMA allocations"
SEGMENT = "DMA-API: vivid vivid.0: mapping sg segment longer than device claims to support [len=1]"


def test_a_report_is_a_complaint() -> None:
    assert list(complaints([BEGIN, LEAK, WARNING, *REST], OF_OTHERS)) == [
        BEGIN,
        WARNING,
        "Call trace:",
    ]


def test_a_report_about_others_is_none() -> None:
    assert list(complaints([BEGIN, SEGMENT, WARNING, *REST], OF_OTHERS)) == []


def test_what_comes_after_it_is_one() -> None:
    said = [BEGIN, SEGMENT, WARNING, *REST, "BUG: Bad page state", BEGIN, LEAK, WARNING, *REST]
    assert list(complaints(said, OF_OTHERS))[:3] == ["BUG: Bad page state", BEGIN, WARNING]


def test_a_report_is_expected_by_where_it_comes_from() -> None:
    assert list(complaints([BEGIN, WARNING, *REST], [r"WARNING: .* at kernel/dma/debug\.c:"])) == []


def test_only_its_head_tells_whether_it_is_expected() -> None:
    assert BEGIN in complaints([BEGIN, LEAK, WARNING, *REST], ["Call trace:"])


def test_the_dump_of_a_stack_is_expected_by_what_it_is_about() -> None:
    head = "schedule_timeout: wrong timeout value fffffffffffffffb"
    dump = ["CPU: 1 PID: 218 Comm: vivid", "Tainted: [O]", "Hardware name: dummy", "Call trace:"]
    assert list(complaints([head, *dump], [])) == ["Call trace:"]
    assert list(complaints([head, *dump], ["wrong timeout value"])) == []
    assert list(complaints([head, *dump, *dump], ["wrong timeout value"])) == ["Call trace:"]


def test_a_thread_of_vivid_that_is_late_is_vivids_own_matter() -> None:
    dump = ["CPU: 0 UID: 0 PID: 212 Comm: vivid-000-vid-c Tainted: G", "Call trace:"]
    assert list(complaints(dump, OF_OTHERS)) == []
    assert list(complaints([dump[0].replace("vivid-000-vid-c", "python3"), dump[1]], OF_OTHERS))


def test_a_line_by_itself_is_left_out_by_a_pattern_only() -> None:
    said = ["vmalloc error: size 4096", "BUG: Bad page state"]
    assert list(complaints(said, [])) == said[1:]
    assert list(complaints(said, ["Bad page"])) == []
