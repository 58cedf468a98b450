"""The summary by rule: what the customer wants, what was found out, what was tried, what failed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .context import Attempt, Lookup, Slot, Understood, Verification
from .reasons import FOR_AGENTS, Reason

# Intents that carry on a dialogue without saying what it is about.
SMALL_TALK = frozenset(
    {
        "affirm",
        "bot_challenge",
        "deny",
        "goodbye",
        "greet",
        "help",
        "inform",
        "nlu_fallback",
        "out_of_scope",
        "request_human",
        "stop",
        "thank",
    }
)
NOT_UNDERSTOOD = frozenset({"nlu_fallback", "out_of_scope"})

MAX_QUOTE = 200
MAX_RESULT = 160


def words(name: str) -> str:
    """A name of ours as words: `action_order_status` becomes `order status`."""
    return name.removeprefix("action_").removeprefix("validate_").replace("_", " ").strip()


def label(name: str) -> str:
    """A slot's name as an agent reads it."""
    return words(name).capitalize()


def topics(understanding: Iterable[Understood]) -> list[str]:
    """What it was about: the first-ranked intents that name a topic, in the order in which they came up."""
    names = (u.intents[0].name for u in understanding if u.intents)
    return list(dict.fromkeys(name for name in names if name not in SMALL_TALK))


def compose(
    reason: Reason,
    note: str | None,
    understanding: Sequence[Understood],
    slots: Sequence[Slot],
    verification: Verification,
    name: str | None,
    lookups: Sequence[Lookup],
    attempted: Sequence[Attempt],
    last_words: str | None,
) -> str:
    """A few lines for the agent's screen, made of what is recorded only."""
    lines = [
        FOR_AGENTS[reason] + (f" {note}" if note else ""),
        _wants(understanding, last_words),
        _known(verification, name, slots),
        _found(lookups),
        _tried(attempted),
        _failed(attempted),
    ]
    return "\n".join(line for line in lines if line)


def _wants(understanding: Sequence[Understood], last_words: str | None) -> str:
    about = ", ".join(words(topic) for topic in topics(understanding))
    said = f"Last said: “{_cut(last_words, MAX_QUOTE)}”" if last_words else ""
    return " ".join(part for part in (f"Wants: {about}." if about else "", said) if part)


def _known(verification: Verification, name: str | None, slots: Sequence[Slot]) -> str:
    if verification.level == "none":
        tries = verification.failed_attempts
        who = "not verified" + (f" ({tries} failed attempt{'s' if tries != 1 else ''})" if tries else "")
    else:
        how = (verification.method or verification.level).replace("+", " and ").replace("_", " ")
        who = f"verified by {how}" + (f" as {name}" if name else "")
    told = [f"{s.label}: {_brief(s.value)}" for s in slots if _was_said(s)]
    return "Known: " + "; ".join([who, *told]) + "."


def _found(lookups: Sequence[Lookup]) -> str:
    found = {words(x.action): _brief(x.result) for x in lookups if x.ok}
    return (
        "Found out: " + "; ".join(f"{what}: {result}" for what, result in found.items()) + "."
        if found
        else ""
    )


def _tried(attempted: Sequence[Attempt]) -> str:
    done = list(dict.fromkeys(words(a.what) for a in attempted if a.outcome == "done"))
    return f"Tried: {', '.join(done)}." if done else ""


def _failed(attempted: Sequence[Attempt]) -> str:
    failed = list(dict.fromkeys(f"{words(a.what)} ({a.outcome})" for a in attempted if a.outcome != "done"))
    return f"Failed: {', '.join(failed)}." if failed else ""


def _was_said(slot: Slot) -> bool:
    """The customer gave it, and it may stand in a list that many see."""
    return slot.source_message_id is not None and not slot.sensitive and _is_plain(slot.value)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _brief(value: Any) -> str:
    """A result in one line: the plain fields of an object, the number of a list's items."""
    if value is None or value in ({}, []):
        return "nothing"
    if isinstance(value, Mapping):
        parts = (f"{words(str(k))} {_brief(v)}" for k, v in value.items() if v not in (None, "", [], {}))
        return _cut(", ".join(parts), MAX_RESULT)
    if isinstance(value, list | tuple):
        if all(_is_plain(item) for item in value):
            return _cut(", ".join(str(item) for item in value), MAX_RESULT)
        return f"{len(value)} found"
    return _cut(str(value), MAX_RESULT)


def _cut(text: str, limit: int) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= limit else one_line[: limit - 1] + "…"
