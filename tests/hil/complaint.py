# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""What is bad among the kernel's messages."""

import re
from collections.abc import Iterator, Sequence

COMPLAINT = re.compile(
    r"WARNING:|BUG:|Oops|Bad page|alloc failed|cut here|possible .* deadlock|Call trace"
    r"|refcount_t:|kmemleak: \d+ new|KASAN|UBSAN|soft lockup|rcu: INFO|hung task|Kernel panic"
    r"|Internal error|Unable to handle kernel|INFO: task .* blocked"
)
# vivid imports contiguous buffers and does not state how long a segment may be.
OF_OTHERS = (r"DMA-API: vivid vivid\.\d+: mapping sg segment longer than device claims",)


def complaints(messages: Sequence[str], expected: Sequence[str]) -> Iterator[str]:
    """Yield what is bad among messages, without what matches a pattern.

    A whole report, from `cut here` to `end trace`, is left out when its head matches.
    """

    def is_expected(text: str) -> bool:
        return any(re.search(word, text) for word in expected)

    inside = False
    for at, text in enumerate(messages):
        if "cut here" in text:
            inside = any(map(is_expected, messages[at + 1 : at + 3]))
        if COMPLAINT.search(text) and not inside and not is_expected(text):
            yield text
        inside = inside and "end trace" not in text
