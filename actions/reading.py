"""Reads order numbers and proof out of what customers type, and masks what should not be seen in full."""

from __future__ import annotations

import re
from dataclasses import dataclass

from actions.directory import Method

_ORDER_NUMBER = re.compile(
    r"(?<![\w@.+-])(?:#\s?)?(?:fy|#)\s?[-\u2013\u2014_.:#/]?\s?(\d{6})(?![\w@])", re.IGNORECASE
)
_BARE_NUMBER = re.compile(r"(?<![\w£$€+@.,/-])(\d{6})(?![\w@/-]|[.,]\d)")
_PHONE = re.compile(r"(?:\+|\b00?)\d(?:[\s().-]?\d){8,13}")
_EMAIL = re.compile(r"[\w.+%'-]+@[\w-]+(?:\.[\w-]+)+")
_UK_POSTCODE = re.compile(r"\b([a-z]{1,2}\d[a-z\d]?)\s*(\d[a-z]{2})\b", re.IGNORECASE)
_EIRCODE = re.compile(r"\b([a-z]\d[\dw])\s?([a-z\d]{4})\b", re.IGNORECASE)
_OTHER_POSTCODES = re.compile(
    r"\b([a-z]\d[a-z]\s?\d[a-z]\d|\d{4}\s?[a-z]{2}|\d{5}(?:-\d{4})?)\b", re.IGNORECASE
)

_SHORT_ANSWER = 5


@dataclass(frozen=True)
class Proof:
    """An e-mail address or postcode in its normal form."""

    method: Method
    value: str


def order_number(text: str, *, expected: bool = False) -> str | None:
    """The order number in `text` as `FY-104233`, or None. Six digits alone count when one is `expected`."""
    rest = _PHONE.sub(" ", text)
    found = _ORDER_NUMBER.search(rest) or (_BARE_NUMBER.search(rest) if expected else None)
    return f"FY-{found.group(1)}" if found else None


def proof(text: str) -> Proof | None:
    """The e-mail address, else the postcode, in `text`."""
    email = _EMAIL.search(text)
    if email:
        return Proof("email", normal_email(email.group()))
    rest = _ORDER_NUMBER.sub(" ", text)
    found = _UK_POSTCODE.search(rest)
    if found is None and len(rest.split()) <= _SHORT_ANSWER:  # "in 2024 in May" is no Dutch postcode
        found = _EIRCODE.search(rest) or _OTHER_POSTCODES.search(rest)
    return Proof("postcode", normal_postcode(found.group())) if found else None


def normal_email(text: str) -> str:
    """The address as it is compared: lower case, nothing around it."""
    return text.strip().strip(".'").casefold()


def normal_postcode(text: str) -> str:
    """The postcode as it is compared: capitals, no blanks."""
    return re.sub(r"[\s-]", "", text).upper()


def masked(given: Proof) -> str:
    """Enough to recognise, too little to use: `j***@e***.com`, `SW***`."""
    if given.method == "postcode":
        return given.value[:2] + "***"
    name, _, domain = given.value.partition("@")
    host, _, top = domain.rpartition(".")
    return f"{name[:1]}***@{host[:1]}***.{top}"
