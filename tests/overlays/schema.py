# SPDX-License-Identifier: MIT
"""What dt-validate says of a merged tree, by our bindings and dtschema's for reserved memory."""

from __future__ import annotations

import json
import sys
import tempfile
import textwrap
from pathlib import Path

from boards.error import run

from .board import OVERLAYS

BINDINGS = OVERLAYS / "bindings"
# The programs' own files begin with the Python that installed them, which is gone.
VALIDATE = "from dtschema.dtb_validate import main; main()"
CHECK = "import sys; sys.stderr = sys.stdout; from dtschema.doc_validate import main; main()"
# Others' nodes are others' business, and the kernel's bindings for them are not in dtschema.
LIMIT = "cm-agent:reserved-memory"
MOST = 160


def judge(base: Path | None, merged: Path) -> list[str]:
    """Return the complaints about a merged tree, without those that its base provokes."""
    found = _complaints(merged)
    before = _complaints(base) if found and base else []
    return [it for it in found if it not in before]


def judge_bindings() -> str:
    """Return what is wrong with the bindings themselves; nothing when all is right."""
    return run([sys.executable, "-c", CHECK, BINDINGS], doing="checking the bindings")


def _complaints(dtb: Path) -> list[str]:
    with tempfile.TemporaryDirectory() as scratch:
        output = Path(scratch) / "complaints.json"
        command = [sys.executable, "-c", VALIDATE, "-s", str(BINDINGS), "-l", LIMIT]
        run([*command, "--json-output", output, dtb], doing=f"validating {dtb.name}")
        found = json.loads(output.read_text())
    lines = (
        f"dt-validate: {it.get('node') or 'the tree'}: {textwrap.shorten(it['message'], MOST)}"
        for it in found
    )
    return list(dict.fromkeys(lines))
