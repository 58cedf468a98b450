"""What customers type, and what is read out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actions.reading import Proof, masked, order_number, proof


@pytest.mark.parametrize(
    "text",
    [
        "FY-104233", "fy104233", "FY 104233", "#104233", "# 104233", "fy - 104233", "FY\u2013104233", "order fy-104233?",
        "it's FY104233.", "Fy_104233", "#FY-104233", "my number:FY-104233,thanks",
    ],
)  # fmt: skip
def test_order_numbers_however_typed(text: str) -> None:
    assert order_number(text) == "FY-104233"


@pytest.mark.parametrize("text", ["104233", "it is 104233", "104233."])
def test_six_digits_count_when_asked_for(text: str) -> None:
    assert order_number(text) is None
    assert order_number(text, expected=True) == "FY-104233"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no idea",
        "FY-10423",
        "FY-1042333",
        "fy104233@example.com",
        "07700 900123",
        "+44 7700 900123",
        "£104233",
        "a104233",
    ],
)
def test_what_is_no_order_number(text: str) -> None:
    assert order_number(text, expected=True) is None


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Jane.Smith@Example.com", Proof("email", "jane.smith@example.com")),
        ("it's jane@example.co.uk.", Proof("email", "jane@example.co.uk")),
        ("sw1a 1aa", Proof("postcode", "SW1A1AA")),
        ("my postcode is M1  4BT thanks", Proof("postcode", "M14BT")),
        ("EC1A1BB", Proof("postcode", "EC1A1BB")),
        ("D02 X285", Proof("postcode", "D02X285")),
        ("1012 AB", Proof("postcode", "1012AB")),
        ("10115", Proof("postcode", "10115")),
        ("K1A 0B1", Proof("postcode", "K1A0B1")),
        ("FY-104233 and LS6 3PQ", Proof("postcode", "LS63PQ")),
    ],
)
def test_proof_however_typed(text: str, found: Proof) -> None:
    assert proof(text) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        "FY-104233",
        "i ordered it in 2024 in january i think",
        "my house is number 12",
        "jane at example",
    ],
)
def test_what_is_no_proof(text: str) -> None:
    assert proof(text) is None


def test_masks_hide_most() -> None:
    assert masked(Proof("email", "jane.smith@example.co.uk")) == "j***@e***.uk"
    assert masked(Proof("postcode", "SW1A1AA")) == "SW***"


@given(st.text(max_size=200))
def test_any_text_is_read_without_error(text: str) -> None:
    order_number(text, expected=True)
    found = proof(text)
    if found:
        assert len(masked(found)) < len(found.value) + 10
