# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What is bad among the kernel's messages."""

import re
from collections.abc import Iterator, Sequence

# Where a stack is dumped without a report, so many lines before it say why and of whom.
DUMP_HEAD = 4
COMPLAINT = re.compile(
    r"WARNING:|BUG:|Oops|Bad page|alloc failed|cut here|possible .* deadlock|Call trace"
    r"|refcount_t:|kmemleak: \d+ new|KASAN|UBSAN|soft lockup|rcu: INFO|hung task|Kernel panic"
    r"|Internal error|Unable to handle kernel|INFO: task .* blocked"
)
# vivid imports contiguous buffers and does not state how long a segment may be; and its threads,
# when they are late, sleep for less than no time (vivid_thread_vid_cap() of 6.12).
OF_OTHERS = (
    r"DMA-API: vivid vivid\.\d+: mapping sg segment longer than device claims",
    r"PID: \d+ Comm: vivid-\d+-vid",
)


def complaints(messages: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    """Yield what is bad among messages, without what matches a pattern.

    A whole report, from `cut here` to `end trace`, is left out when its head matches, and so is
    the dump of a stack.
    """

    def is_expected(text: str) -> bool:
        return any(re.search(word, text) for word in expected)

    inside = False
    for at, text in enumerate(messages):
        if "cut here" in text:
            inside = any(map(is_expected, messages[at + 1 : at + 3]))
        if text == "Call trace:" and any(map(is_expected, messages[max(0, at - DUMP_HEAD) : at])):
            continue
        if COMPLAINT.search(text) and not inside and not is_expected(text):
            yield text
        inside = inside and "end trace" not in text
