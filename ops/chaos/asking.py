"""
What users write to have their window now, and the patterns that the services are given for it.

Whoever judges reads it off the text, as a person would, and not with the product's patterns.
"""

from __future__ import annotations

import json
from typing import Literal

Asks = Literal["", "bypass", "flush"]
"""To be handled alone, to close the window, or nothing."""

COMMAND = "cancel that"
STOP_WORD = "that is all"

SETTINGS = {"bypass": json.dumps([f"* {COMMAND} *"]), "flush": json.dumps([f"* {STOP_WORD} *"])}


def asks_of(text: str) -> Asks:
    """What a message of this text asks for."""
    if COMMAND in text:
        return "bypass"
    return "flush" if STOP_WORD in text else ""
