# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""`python -m cm_agent` is the command `cm-agent`."""

import sys

from cm_agent.cli import main

if __name__ == "__main__":
    sys.exit(main())
