"""What a socket says about two looks at a thread."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from connectors.webchat import diff
from conversations.control import Control
from conversations.messages import Author, AuthorKind, Message, Text
from conversations.store.views import ThreadView

NOTHING = ThreadView("t", 0, None, None, Control.CLOSED, 0, None, None, None)


def view(control: Control, epoch: int = 1, **fields: Any) -> ThreadView:
    """A thread whose conversation c1 began with message 1."""
    values: dict[str, Any] = {
        "thread": "t",
        "last_seq": 1,
        "conversation": None if control is Control.CLOSED else "c1",
        "first_seq": 1,
        "control": control,
        "epoch": epoch,
        "agent": None,
        "outcome": None,
        "position": None,
        "episode": "c1",
    }
    return ThreadView(**(values | fields))


def said(seq: int, kind: AuthorKind, name: str | None = None, conversation: str = "c1") -> Message:
    return Message(f"m{seq}", "t", conversation, seq, Author(kind, name), Text(f"text {seq}"), 0)


def told(before: ThreadView, after: ThreadView) -> list[str]:
    """Each frame in a few words."""
    return [brief(frame) for frame in diff.frames(before, after)]


def brief(frame: dict[str, Any]) -> str:
    match frame["type"]:
        case "message":
            return f"{frame['author']['kind']} {frame['seq']}"
        case "conversation":
            return f"begins {frame['conversation']} after {frame['after_seq']}"
        case "queue":
            return f"place {frame['position']}"
        case _:
            words = (frame["control"], frame.get("name"), frame.get("reason"))
            return "control " + " ".join(word for word in words if word)


def test_nothing_happened() -> None:
    for same in (NOTHING, view(Control.ASSISTANT), view(Control.QUEUE, position=3), view(Control.CLOSED)):
        assert told(same, same) == []


def test_a_first_message_begins_a_conversation() -> None:
    after = view(Control.ASSISTANT, messages=(said(1, AuthorKind.CUSTOMER),))
    assert told(NOTHING, after) == ["begins c1 after 0", "control assistant", "customer 1"]


def test_question_and_answer_in_one_look() -> None:
    after = view(
        Control.ASSISTANT, last_seq=3, messages=(said(2, AuthorKind.CUSTOMER), said(3, AuthorKind.ASSISTANT))
    )
    assert told(view(Control.ASSISTANT), after) == ["customer 2", "assistant 3"]


def test_handed_over_with_words_and_a_place() -> None:
    after = view(Control.QUEUE, 2, position=4, last_seq=2, messages=(said(2, AuthorKind.SYSTEM),))
    assert told(view(Control.ASSISTANT), after) == ["system 2", "control queue", "place 4"]


def test_an_offer_without_a_place_says_none() -> None:
    assert told(view(Control.QUEUE, 2, position=1), view(Control.QUEUE, 2, position=None)) == []
    assert told(view(Control.QUEUE, 2, position=None), view(Control.QUEUE, 2, position=1)) == ["place 1"]


def test_the_place_is_told_only_when_it_changes() -> None:
    waiting = view(Control.QUEUE, 2, position=4)
    assert told(waiting, replace(waiting, position=3)) == ["place 3"]
    assert told(waiting, replace(waiting, last_seq=2, messages=(said(2, AuthorKind.CUSTOMER),))) == [
        "customer 2"
    ]


def test_accepted_with_the_agents_name() -> None:
    after = view(Control.AGENT, 3, agent="Ada", last_seq=2, messages=(said(2, AuthorKind.SYSTEM),))
    assert told(view(Control.QUEUE, 2, position=1), after) == ["system 2", "control agent Ada"]


def test_an_agent_who_spoke_already_is_announced_before() -> None:
    after = view(
        Control.AGENT,
        3,
        agent="Ada",
        last_seq=3,
        messages=(said(2, AuthorKind.SYSTEM), said(3, AuthorKind.AGENT, "Ada")),
    )
    assert told(view(Control.QUEUE, 2, position=1), after) == ["system 2", "control agent Ada", "agent 3"]


def test_a_quick_answer_and_end_still_show_who_spoke() -> None:
    after = view(
        Control.CLOSED,
        4,
        outcome="resolved",
        last_seq=3,
        messages=(said(2, AuthorKind.AGENT, "Ada"), said(3, AuthorKind.SYSTEM)),
    )
    assert told(view(Control.QUEUE, 2, position=1), after) == [
        "control agent Ada",
        "agent 2",
        "system 3",
        "control closed resolved",
    ]


def test_a_transfer_that_nobody_saw_shows_the_new_agent() -> None:
    before = view(Control.AGENT, 3, agent="Ada")
    assert told(before, view(Control.AGENT, 5, agent="Bob")) == ["control agent Bob"]


def test_a_transfer_back_into_the_queue() -> None:
    before = view(Control.AGENT, 3, agent="Ada")
    assert told(before, view(Control.QUEUE, 4, position=2)) == ["control queue", "place 2"]


def test_back_in_the_queue_at_the_same_place_is_told_again() -> None:
    before = view(Control.QUEUE, 2, position=1)
    after = view(Control.QUEUE, 4, position=1, last_seq=2, messages=(said(2, AuthorKind.AGENT, "Ada"),))
    assert told(before, after) == ["control agent Ada", "agent 2", "control queue", "place 1"]


def test_given_back_and_answered_in_one_look() -> None:
    after = view(
        Control.ASSISTANT,
        4,
        last_seq=3,
        messages=(said(2, AuthorKind.SYSTEM), said(3, AuthorKind.ASSISTANT)),
    )
    assert told(view(Control.AGENT, 3, agent="Ada"), after) == [
        "system 2",
        "control assistant",
        "assistant 3",
    ]


@pytest.mark.parametrize(
    ("outcome", "shown"),
    [
        ("customer_left", "customer_left"),
        ("silence", "silence"),
        ("resolved", "resolved"),
        ("fraud suspected", "resolved"),
    ],
)
def test_what_the_house_notes_is_not_for_the_customer(outcome: str, shown: str) -> None:
    after = view(Control.CLOSED, 4, outcome=outcome)
    assert told(view(Control.ASSISTANT), after) == [f"control closed {shown}"]


def test_a_new_episode_after_the_old_one() -> None:
    after = view(
        Control.ASSISTANT,
        conversation="c2",
        episode="c2",
        first_seq=2,
        last_seq=2,
        messages=(said(2, AuthorKind.CUSTOMER, conversation="c2"),),
    )
    assert told(view(Control.CLOSED, 4), after) == ["begins c2 after 1", "control assistant", "customer 2"]


def test_an_end_that_nobody_saw_comes_before_the_new_episode() -> None:
    messages = (said(2, AuthorKind.CUSTOMER), said(3, AuthorKind.CUSTOMER, conversation="c2"))
    after = view(
        Control.QUEUE,
        2,
        conversation="c2",
        episode="c2",
        first_seq=3,
        last_seq=3,
        position=1,
        messages=messages,
    )
    assert told(view(Control.AGENT, 3, agent="Ada"), after) == [
        "customer 2",
        "control closed",
        "begins c2 after 2",
        "control assistant",
        "customer 3",
        "control queue",
        "place 1",
    ]


def test_several_episodes_in_one_look_are_all_told() -> None:
    messages = tuple(said(n, AuthorKind.CUSTOMER, conversation=f"c{n}") for n in (2, 3))
    after = view(Control.CLOSED, conversation=None, episode="c3", first_seq=3, last_seq=3, messages=messages)
    assert told(view(Control.CLOSED), after) == [
        "begins c2 after 1",
        "control assistant",
        "customer 2",
        "control closed",
        "begins c3 after 2",
        "control assistant",
        "customer 3",
        "control closed",
    ]


def test_words_after_the_end_belong_to_the_ended_episode() -> None:
    after = view(Control.CLOSED, 4, last_seq=2, messages=(said(2, AuthorKind.SYSTEM),))
    assert told(view(Control.CLOSED, 4), after) == ["system 2"]


def test_control_that_came_and_went_in_silence_is_left_out() -> None:
    assert told(view(Control.ASSISTANT, 1), view(Control.ASSISTANT, 3)) == []
