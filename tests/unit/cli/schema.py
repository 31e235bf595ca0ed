# SPDX-License-Identifier: MIT
# SPDX-FileCopyrightText: 2026 cm-agent authors
"""The JSON Schema of what verbs print with --json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

from jsonschema import Draft202012Validator

_SCHEMA = json.loads((Path(__file__).parents[3] / "agent/command.schema.json").read_text())


def check(text: str) -> dict[str, Any]:
    """Return the one document that a verb printed; ValidationError: the schema has another."""
    document = json.loads(text)
    Draft202012Validator(_SCHEMA).validate(document)
    return cast(dict[str, Any], document)
