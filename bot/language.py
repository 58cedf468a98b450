"""Makes the small spaCy pipeline that finds order numbers, e-mail addresses, postcodes and the like.

It is blank English with an entity ruler: nothing is downloaded and nothing is trained. `python -m bot.language`
writes it to `bot/models/language`, where config.yml looks for it, and does nothing when it is up to date.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path("bot/models/language")
STAMP = "foyer-stamp.txt"

Pattern = dict[str, Any]

_MONTHS = (
    "jan feb mar apr may jun jul aug sep sept oct nov dec january february march april june july august "
    "september october november december"
)
_WEEKDAYS = (
    "monday tuesday wednesday thursday friday saturday sunday mon tue tues wed thu thur thurs fri sat sun"
)
_DAY = r"(?i)^(0?[1-9]|[12]\d|3[01])(st|nd|rd|th)?$"
_YEAR = r"^(19|20)\d\d$"
_OUTWARD = r"(?i)^[a-z]{1,2}\d[a-z\d]?$"
_INWARD = r"(?i)^\d[a-z]{2}$"


def _is(expression: str) -> Pattern:
    return {"TEXT": {"REGEX": expression}}


def _one_of(*words: str) -> Pattern:
    return {"LOWER": {"IN": list(words)}}


def _order_numbers() -> list[list[Pattern]]:
    digits = _is(r"^\d{6}$")
    dash = {"ORTH": {"IN": ["-", "\u2013", "\u2014", "#", ":"]}, "OP": "?"}
    return [
        [_is(r"(?i)^#?fy[-\u2013\u2014_./]?\d{6}$")],
        [
            _one_of("fy", "fy-", "fy\u2013", "fy#", "fy:"),
            dash,
            digits,
        ],
        [{"ORTH": "#"}, _is(r"(?i)^(fy[-\u2013]?)?\d{6}$")],
        [_is(r"^#\d{6}$")],
        [digits],
    ]


def _postcodes() -> list[list[Pattern]]:
    return [
        [_is(_OUTWARD), _is(_INWARD)],
        [_is(r"(?i)^[a-z]{1,2}\d[a-z\d]?\d[a-z]{2}$")],
        [_is(r"(?i)^[a-z]\d[\dw]$"), _is(r"(?i)^[a-z\d]{4}$")],  # Ireland
        [_is(r"(?i)^[a-z]\d[\dw][a-z\d]{4}$")],
        [_is(r"(?i)^[a-z]\d[a-z]$"), _is(r"(?i)^\d[a-z]\d$")],  # Canada
        [_is(r"^\d{4}$"), _is(r"^[A-Z]{2}$")],  # the Netherlands
        [_is(r"^\d{5}$")],  # Germany, France, Spain, Italy, United States
    ]


def _phones() -> list[list[Pattern]]:
    plus = {"ORTH": "+", "OP": "?"}
    return [
        [plus, _is(r"^\+?\d{10,14}$")],
        [plus, _is(r"^\+?\d{2,3}$"), _is(r"^\d{3,5}$"), _is(r"^\d{3,7}$")],
        [plus, _is(r"^\+?\d{2,3}$"), _is(r"^\d{3,5}$"), _is(r"^\d{3,4}$"), _is(r"^\d{3,4}$")],
        [_is(r"^0\d{2,4}$"), _is(r"^\d{6,7}$")],
        [_is(r"^0\d{2,4}$"), _is(r"^\d{3,4}$"), _is(r"^\d{3,4}$")],
    ]


def _amounts() -> list[list[Pattern]]:
    number = _is(r"^\d{1,3}([,.]?\d{3})*([.,]\d{1,2})?$")
    return [
        [{"ORTH": {"IN": ["£", "€", "$"]}}, number],
        [
            number,
            _one_of(
                "pounds", "pound", "quid", "gbp", "euros", "euro", "eur", "dollars", "usd", "pence", "£", "€"
            ),
        ],
        [_is(r"(?i)^(£|€|\$)\d+([.,]\d{1,2})?$")],
    ]


def _dates() -> list[list[Pattern]]:
    month = _one_of(*_MONTHS.split())
    year = {**_is(_YEAR), "OP": "?"}
    return [
        [_is(_DAY), {"LOWER": "of", "OP": "?"}, month, year],
        [month, _is(_DAY), {"ORTH": ",", "OP": "?"}, year],
        [_is(r"^\d{1,2}[/.]\d{1,2}([/.]\d{2,4})?$")],
        [_is(_YEAR), {"ORTH": "-"}, _is(r"^\d\d$"), {"ORTH": "-"}, _is(r"^\d\d$")],
        [_one_of("today", "tomorrow", "tmrw", "yesterday", "tonight", *_WEEKDAYS.split())],
        [_one_of("next", "last", "this"), _one_of("week", "month", "weekend", *_WEEKDAYS.split())],
    ]


def patterns() -> list[dict[str, Any]]:
    """What the entity ruler looks for, as spaCy's token patterns; the longest match wins."""
    families = {
        "order_number": _order_numbers(),
        "email": [[{"LIKE_EMAIL": True}]],
        "postcode": _postcodes(),
        "phone": _phones(),
        "amount": _amounts(),
        "date": _dates(),
    }
    return [{"label": label, "pattern": pattern} for label, found in families.items() for pattern in found]


def build() -> Any:
    """Blank English with the entity ruler. Words are not cut before units and "am" (`1GB`, `9AM` end postcodes)."""
    import spacy
    from spacy.util import compile_suffix_regex

    nlp = spacy.blank("en")
    suffixes = [rule for rule in nlp.Defaults.suffixes or [] if "km" not in rule]
    nlp.tokenizer.suffix_search = compile_suffix_regex(suffixes).search
    nlp.tokenizer.rules = {text: how for text, how in nlp.tokenizer.rules.items() if not text[0].isdigit()}
    nlp.add_pipe("entity_ruler").add_patterns(patterns())
    return nlp


def stamp() -> str:
    """Names this pipeline: changes whenever its rules, this file or spaCy's version do."""
    import spacy

    parts = [
        spacy.__version__,
        json.dumps(patterns(), sort_keys=True),
        Path(__file__).read_text(encoding="utf-8"),
    ]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def make(folder: Path = FOLDER) -> bool:
    """Writes the pipeline to `folder` unless it is there already; True when written. Readers never see half of it."""
    wanted = stamp()
    marker = folder / STAMP
    if marker.is_file() and marker.read_text(encoding="utf-8").strip() == wanted:
        return False
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as room:
        fresh, old = Path(room) / "fresh", Path(room) / "old"
        build().to_disk(fresh)
        (fresh / STAMP).write_text(wanted + "\n", encoding="utf-8")
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
        shutil.rmtree(old, ignore_errors=True)
    return True


def main() -> None:
    """Command line: makes the pipeline and says whether anything had changed."""
    parser = argparse.ArgumentParser(prog="python -m bot.language", description=make.__doc__)
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"where to write it (default: {FOLDER})")
    folder = parser.parse_args().folder
    print(f"{folder}: {'made' if make(folder) else 'up to date'}")


if __name__ == "__main__":
    main()
