"""Who may speak: every move from every standing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conversations import control
from conversations.control import Control, NotAllowed, Standing

MOVES = {
    "escalate": (control.escalate, Control.QUEUE, {Control.ASSISTANT}),
    "accept": (lambda s: control.accept(s, "ada"), Control.AGENT, {Control.QUEUE}),
    "requeue": (control.requeue, Control.QUEUE, {Control.AGENT}),
    "return": (control.give_back, Control.ASSISTANT, {Control.AGENT, Control.QUEUE}),
    "close": (control.close, Control.CLOSED, {Control.ASSISTANT, Control.QUEUE, Control.AGENT}),
}


@pytest.mark.parametrize("verb", MOVES)
@pytest.mark.parametrize("start", list(Control))
def test_a_move_is_made_where_it_is_allowed_and_refused_elsewhere(verb: str, start: Control) -> None:
    move, to, allowed = MOVES[verb]
    standing = Standing(start, 7, "bob" if start is Control.AGENT else None)
    if start in allowed:
        assert move(standing) == Standing(to, 8, "ada" if to is Control.AGENT else None)
    else:
        with pytest.raises(NotAllowed, match=start.value):
            move(standing)


@given(st.lists(st.sampled_from(sorted(MOVES)), max_size=30))
def test_the_epoch_rises_with_every_change_and_closed_is_final(verbs: list[str]) -> None:
    standing = Standing()
    for verb in verbs:
        before = standing
        try:
            standing = MOVES[verb][0](standing)
        except NotAllowed:
            continue
        assert standing.epoch == before.epoch + 1
        assert before.open
        assert (standing.agent is not None) == (standing.control is Control.AGENT)
