# SPDX-License-Identifier: MIT
"""Allocations that fail: what a board needs for it, and what must hold then."""

from __future__ import annotations

import errno
from typing import Any

import pytest

MARKS = [
    pytest.mark.lg_feature("fault-injection"),
    # vmalloc() traces its failures; a report has another line that tells it is one.
    pytest.mark.kernel_log("Call trace:", "vmalloc error"),
]
MOST = 500
"""Allocations that a call may have."""
# Whatever allocates may fail, single page frames included; nothing is said in the log. Those for
# user space are left alone: Python's own page faults would be counted, a few or none.
READY = """
cd /sys/kernel/debug
for it in failslab fail_page_alloc; do
    echo 0 >$it/verbose && echo 0 >$it/probability && echo N >$it/ignore-gfp-wait || exit 1
done
echo Y >fail_page_alloc/ignore-gfp-highmem && echo 0 >fail_page_alloc/min-order
"""


def check(got: dict[str, Any], allowed: set[int], *, allocates: bool = True) -> None:
    """Compare what a test with failing allocations reports with what must hold."""
    numbers = {number for number, count in got["errnos"].items() if count}
    said = f"{sum(got['errnos'].values())} allocations failed: {got}"
    print(said)
    assert got["ended"], said
    assert bool(numbers) is allocates, said
    assert got["changed"] == [], said
    assert numbers <= {0, errno.ENOMEM, *allowed}, said
