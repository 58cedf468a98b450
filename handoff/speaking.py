"""What agents write: messages to the customer, and notes to each other. Each under an id that makes it safe to repeat."""

from __future__ import annotations

from conversations.control import Control
from conversations.errors import Conflict, IdReused
from conversations.messages import AuthorKind, Message, Text
from conversations.store import Transaction, conversations, messages, threads
from conversations.store.conversations import Conversation
from conversations.store.messages import Draft

from . import access
from .agents import Agent
from .room import NotYours, author_of, authors_after


def say(
    tx: Transaction, agent: Agent, conversation_id: str, client_id: str, text: str, after_seq: int | None
) -> tuple[Message, bool]:
    """The agent's message to the customer, and whether it is new; the same id again gives the first one.

    Raises:
        NotFound, NotYours: no such conversation, or this agent does not hold it.
        IdReused: the id was used for something else.
        Conflict: `not_open`, or `stale` when somebody wrote behind `after_seq` (details: `last_seq`).
    """
    thread = threads.lock(tx, conversations.find(tx, conversation_id).thread_id)
    conversation = conversations.lock(tx, conversation_id)
    earlier = _earlier(tx, agent, conversation_id, client_id, text, note=False)
    if earlier is not None:
        return earlier, False
    if conversation.control is Control.CLOSED and access.sees_conversation(tx, agent, conversation):
        raise Conflict("not_open", "the conversation is closed")
    if conversation.agent_id != agent.id:
        raise NotYours("this conversation is not yours")
    if after_seq is not None and _others_wrote(tx, agent, conversation, after_seq):
        raise Conflict("stale", "somebody has written meanwhile", last_seq=conversation.last_seq)
    draft = Draft(author_of(agent), Text(text), client_id)
    return messages.append(tx, thread, conversation, draft), True


def note(
    tx: Transaction, agent: Agent, conversation_id: str, client_id: str, text: str
) -> tuple[Message, bool]:
    """A note that only the desk sees, and whether it is new. Who sees the conversation may write one.

    Raises:
        NotFound, NotYours: no such conversation, or not for this agent.
        IdReused: the id was used for something else.
    """
    threads.lock(tx, conversations.find(tx, conversation_id).thread_id)
    conversation = conversations.lock(tx, conversation_id)
    access.must_see_conversation(tx, agent, conversation)
    earlier = _earlier(tx, agent, conversation_id, client_id, text, note=True)
    if earlier is not None:
        return earlier, False
    return messages.add_note(tx, conversation, Draft(author_of(agent), Text(text), client_id)), True


def _earlier(
    tx: Transaction, agent: Agent, conversation_id: str, client_id: str, text: str, note: bool
) -> Message | None:
    found = messages.by_agent(tx, conversation_id, client_id)
    if found is None:
        return None
    same = found.author.id == agent.id and found.content.text == text and (found.seq is None) == note
    if not same:
        raise IdReused("this id was used for something else; that stands")
    return found


def _others_wrote(tx: Transaction, agent: Agent, conversation: Conversation, after_seq: int) -> bool:
    """Whether the customer or another agent wrote behind this number."""
    written = authors_after(tx, conversation, after_seq, (AuthorKind.CUSTOMER, AuthorKind.AGENT))
    return any(author != agent.id for author in written)
