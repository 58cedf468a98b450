"""What the entity ruler finds in messages as customers type them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import spacy

from bot import language


@pytest.fixture(scope="module")
def nlp() -> Any:
    return language.build()


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("where is FY-104233?", [("order_number", "FY-104233")]),
        ("fy104233", [("order_number", "fy104233")]),
        ("order FY 104233 please", [("order_number", "FY 104233")]),
        ("#104233", [("order_number", "#104233")]),
        ("it's 104233.", [("order_number", "104233")]),
        ("Fy - 104233", [("order_number", "Fy - 104233")]),
        ("write to jane.smith@example.co.uk.", [("email", "jane.smith@example.co.uk")]),
        ("SW1A 1AA", [("postcode", "SW1A 1AA")]),
        ("my postcode is m1 1gb", [("postcode", "m1 1gb")]),
        ("ne99am", [("postcode", "ne99am")]),
        ("LS6 3PQ, thanks", [("postcode", "LS6 3PQ")]),
        ("ring 07700 900123", [("phone", "07700 900123")]),
        ("+44 7700 900123", [("phone", "+44 7700 900123")]),
        ("07700900123", [("phone", "07700900123")]),
        ("you charged me £45.50", [("amount", "£45.50")]),
        ("20 quid", [("amount", "20 quid")]),
        ("will it come tomorrow or on 3rd march 2026", [("date", "tomorrow"), ("date", "3rd march 2026")]),
        ("2026-03-04", [("date", "2026-03-04")]),
        ("by next friday", [("date", "next friday")]),
        (
            "FY-104233, a@example.com, EH1 2NG",
            [("order_number", "FY-104233"), ("email", "a@example.com"), ("postcode", "EH1 2NG")],
        ),
        ("where is my stuff, it's been 3 weeks", []),
    ],
)
def test_entities_are_found(nlp: Any, text: str, found: list[tuple[str, str]]) -> None:
    assert [(entity.label_, entity.text) for entity in nlp(text).ents] == found


def test_it_is_made_once_and_again_when_changed(tmp_path: Path) -> None:
    folder = tmp_path / "language"

    assert language.make(folder)
    assert not language.make(folder)
    (folder / language.STAMP).write_text("of another day", encoding="utf-8")
    assert language.make(folder)

    assert [entity.label_ for entity in spacy.load(folder)("FY-104233").ents] == ["order_number"]
    assert [path.name for path in tmp_path.iterdir()] == ["language"]
