"""Takes payment card numbers out of a customer's words before anything is stored."""

from __future__ import annotations

import re

from stdnum import luhn

# 13 to 19 digits (ISO/IEC 7812-1, 5.2), written with single blanks or hyphens at most.
_CARD = re.compile(r"(?<![\w-])\d(?:[ -]?\d){12,18}(?![\w-])")


def mask(text: str) -> str:
    """The text with every card number replaced by its last four digits: `[card ending 1111]`."""
    return _CARD.sub(_masked, text)


def _masked(match: re.Match[str]) -> str:
    digits = re.sub(r"\D", "", match.group())
    if not luhn.is_valid(digits):
        return match.group()
    return f"[card ending {digits[-4:]}]"
