# SPDX-License-Identifier: MIT
"""The one error of this package, and running a command that raises it."""

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


class BoardError(Exception):
    """Something a person has to look at: what failed, the numbers, what to do."""


def run(
    command: Sequence[str | Path],
    *,
    doing: str,
    timeout: float = 600,
    cwd: Path | None = None,
    env: dict[str, str] | None = None,
) -> str:
    """Run a command and return its stdout; on failure raise a BoardError with its output's end."""
    words = [str(word) for word in command]
    words[0] = shutil.which(words[0], path=PATH) or words[0]
    try:
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=timeout, cwd=cwd, env=env
        )
    except FileNotFoundError as error:
        raise BoardError(
            f"{doing}: no program {words[0]!r} on this machine; run `make prerequisites`"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise BoardError(f"{doing}: `{words[0]}` did not end within {timeout:.0f} s") from error
    if done.returncode != 0:
        end = "\n".join((done.stdout + done.stderr).strip().splitlines()[-25:])
        raise BoardError(f"{doing}: `{words[0]}` ended with {done.returncode}:\n{end}")
    return done.stdout
