"""Why a person is needed, and what the customer is told while waiting for one."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    CUSTOMER_ASKED = "customer_asked"
    NOT_UNDERSTOOD = "not_understood"
    SENSITIVE_TOPIC = "sensitive_topic"
    VERIFICATION_FAILED = "verification_failed"
    LOOKUP_FAILED = "lookup_failed"
    FORM_FAILED = "form_failed"
    SENTIMENT = "sentiment"
    VIP = "vip"
    LANGUAGE = "language"
    ASSISTANT_UNAVAILABLE = "assistant_unavailable"
    UNSUPPORTED_CONTENT = "unsupported_content"
    AGENT_TAKEOVER = "agent_takeover"


FOR_AGENTS = {
    Reason.CUSTOMER_ASKED: "The customer asked for a person.",
    Reason.NOT_UNDERSTOOD: "The assistant did not understand the customer.",
    Reason.SENSITIVE_TOPIC: "The topic is one for people.",
    Reason.VERIFICATION_FAILED: "The customer could not be verified.",
    Reason.LOOKUP_FAILED: "The account system gave no answer.",
    Reason.FORM_FAILED: "The assistant could not get the answers that it needs.",
    Reason.SENTIMENT: "The customer is upset.",
    Reason.VIP: "The customer's tier goes to people.",
    Reason.LANGUAGE: "The customer writes in a language that the assistant does not speak.",
    Reason.ASSISTANT_UNAVAILABLE: "The assistant gave no answer.",
    Reason.UNSUPPORTED_CONTENT: "The customer sent something that the assistant can't use.",
    Reason.AGENT_TAKEOVER: "A colleague stepped in.",
}

# For a handoff that the assistant did not announce in words of its own.
_FOREWORDS = {
    Reason.ASSISTANT_UNAVAILABLE: "I'm sorry, something isn't working on my side.",
    Reason.LOOKUP_FAILED: "I'm sorry, I can't reach the information I need right now.",
    Reason.UNSUPPORTED_CONTENT: "I'm sorry, I can't open what you sent, but a colleague can look at it.",
}

TAKEOVER = "A colleague is joining this conversation."


def queued(reason: Reason, position: int | None, staffed: bool, alone: bool) -> str:
    """What the customer hears on joining the queue.

    `staffed`: an agent of that queue is available now. `alone`: the assistant said nothing itself.
    """
    if reason is Reason.AGENT_TAKEOVER:
        return TAKEOVER
    return _joined(_FOREWORDS.get(reason, "") if alone else "", _place(position, staffed))


def back_in_queue(agent: str, position: int | None, staffed: bool) -> str:
    """What the customer hears when their agent passes the conversation on."""
    return _joined(f"{agent} is passing you on to another colleague.", _place(position, staffed))


def _place(position: int | None, staffed: bool) -> str:
    number = f" You are number {position}." if position is not None else ""
    if staffed:
        return f"I've put you in the queue for a colleague.{number} You can keep writing here; they will see it all."
    return (
        f"None of my colleagues is free to answer at the moment. I've put you in the queue all the same.{number} "
        "You can keep writing here; they will see it all, but I can't say when that will be."
    )


def _joined(*parts: str) -> str:
    return " ".join(part for part in parts if part)


def returned(agent: str) -> str:
    """What the customer hears when an agent gives the conversation back to the assistant."""
    return f"{agent} has left the conversation. The assistant is back and goes on from here."


def resolved(agent: str) -> str:
    """What the customer hears when an agent ends the conversation."""
    return f"{agent} has closed this conversation. If you need anything else, just write again."
