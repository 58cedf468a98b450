"""Agents: who they are, what they may do, and their passwords."""

from __future__ import annotations

import asyncio
import json
import os
import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from conversations.errors import Conflict, FoyerError, NotFound
from conversations.messages import clean_text, new_id
from conversations.store import Store, Transaction
from conversations.store.engine import DeskEvent
from conversations.store.tables import agent_sessions, agents
from conversations.store.threads import insert_if_new

from . import passwords

DEMO_EMAIL = "demo@foyer.example"
DEMO_NAME = "Ada Demo"

_EMAIL = re.compile(r"[^@\s]{1,64}@[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)+")
_WORD = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LANGUAGE = re.compile(r"[a-zA-Z]{2,3}(?:-[a-zA-Z0-9]{2,8})*")


class Role(StrEnum):
    """An agent speaks with customers; a supervisor also sees everybody's conversations; an admin only sees them."""

    AGENT = "agent"
    SUPERVISOR = "supervisor"
    ADMIN = "admin"


class Presence(StrEnum):
    AVAILABLE = "available"
    BUSY = "busy"
    AWAY = "away"


class AgentError(FoyerError):
    """What was given for an agent can't be used; the text says what and why."""

    code = "invalid"


@dataclass(frozen=True, slots=True)
class Agent:
    """Somebody who may log in at the desk. `skills` are levels from 1 to 5 by name."""

    id: str
    email: str
    name: str
    roles: tuple[str, ...]
    queues: tuple[str, ...]
    skills: Mapping[str, int]
    languages: tuple[str, ...]
    presence: str
    presence_reason: str | None

    @property
    def sees_all(self) -> bool:
        return Role.SUPERVISOR in self.roles or Role.ADMIN in self.roles

    @property
    def serves(self) -> bool:
        """May speak with customers."""
        return Role.AGENT in self.roles or Role.SUPERVISOR in self.roles

    @property
    def supervises(self) -> bool:
        return Role.SUPERVISOR in self.roles

    def as_json(self) -> dict[str, Any]:
        """As PROTOCOLS shows it."""
        return {
            "id": self.id,
            "name": self.name,
            "email": self.email,
            "roles": list(self.roles),
            "languages": list(self.languages),
            "queues": list(self.queues),
            "presence": self.presence,
            "presence_reason": self.presence_reason,
        }


_COLUMNS = (
    agents.c.id,
    agents.c.email,
    agents.c.name,
    agents.c.roles,
    agents.c.queues,
    agents.c.skills,
    agents.c.languages,
    agents.c.presence,
    agents.c.presence_reason,
)


def from_row(row: sa.Row[Any]) -> Agent:
    """An agent from a row that holds at least the agent's columns."""
    values = {column.name: row._mapping[column.name] for column in _COLUMNS}
    lists = {name: tuple(values[name]) for name in ("roles", "queues", "languages")}
    return Agent(**(values | lists))


def selected(*more: Any) -> sa.Select[Any]:
    """A query for agents' columns, and more beside them."""
    return sa.select(*_COLUMNS, *more)


# ------------------------------------------------------------ in a transaction


def find(tx: Transaction, agent: str) -> Agent:
    """Raises NotFound."""
    return _one(tx, agents.c.id == agent)


def by_email(tx: Transaction, email: str) -> Agent:
    """Raises NotFound."""
    return _one(tx, agents.c.email == folded(email))


def _one(tx: Transaction, condition: sa.ColumnElement[bool]) -> Agent:
    row = tx.conn.execute(selected().where(condition)).one_or_none()
    if row is None:
        raise NotFound("there is no such agent")
    return from_row(row)


def everybody(tx: Transaction) -> Sequence[Agent]:
    """All agents by name."""
    rows = tx.conn.execute(selected().order_by(agents.c.name, agents.c.id)).all()
    return [from_row(row) for row in rows]


def anybody_there(tx: Transaction, queue: str) -> bool:
    """Whether somebody who serves this queue is available and logged in."""
    session = sa.exists().where(
        agent_sessions.c.agent_id == agents.c.id,
        agent_sessions.c.revoked_at.is_(None),
        sa.or_(agent_sessions.c.expires_at.is_(None), agent_sessions.c.expires_at > tx.now),
    )
    query = selected().where(agents.c.presence == Presence.AVAILABLE.value, session)
    found = (from_row(row) for row in tx.conn.execute(query))
    return any(agent.serves and queue in agent.queues for agent in found)


def set_presence(tx: Transaction, agent: str, presence: Presence, reason: str | None) -> Agent:
    """Notes how the agent can be reached, and tells the desk. Raises NotFound."""
    return _changed(tx, agent, presence=presence.value, presence_reason=reason)


def note_seen(tx: Transaction, agent: str) -> None:
    """Notes that the agent's desk was connected until now."""
    tx.conn.execute(sa.update(agents).where(agents.c.id == agent).values(last_seen_at=tx.now))


def _changed(tx: Transaction, agent: str, **values: Any) -> Agent:
    tx.conn.execute(sa.update(agents).where(agents.c.id == agent).values(values))
    changed = find(tx, agent)
    tx.emit(DeskEvent("presence", {"agent": changed.as_json()}))
    return changed


# ------------------------------------------------------------- from outside


async def add_agent(
    store: Store,
    email: str,
    name: str,
    roles: Sequence[str] = (Role.AGENT.value,),
    queues: Sequence[str] = ("general",),
    skills: Mapping[str, int] | None = None,
    languages: Sequence[str] = (),
    password: str = "",
) -> Agent:
    """Makes an agent, who stands as away until they say otherwise.

    Raises:
        AgentError: the address, a name, a role or the password can't be used.
        Conflict: `email_taken`.
    """
    values = {
        "id": new_id(),
        "email": checked_email(email),
        "name": _checked_name(name),
        "roles": _checked_roles(roles),
        "queues": _checked_words("queue", queues),
        "skills": _checked_skills(skills or {}),
        "languages": _checked_languages(languages),
        "password_hash": await passwords.hashed(_checked_password(password)),
        "presence": Presence.AWAY.value,
    }

    def job(tx: Transaction) -> Agent:
        done = tx.conn.execute(insert_if_new(tx, agents).values(**values, created_at=tx.now))
        if done.rowcount != 1:
            raise Conflict("email_taken", "there is an agent with this e-mail address already")
        return _changed(tx, str(values["id"]), presence=Presence.AWAY.value)

    return await store.write(job)


async def set_password(store: Store, email: str, password: str) -> Agent:
    """Gives the agent a new password and ends their sessions.

    Raises:
        AgentError: the password can't be used.
        NotFound: nobody has this address.
    """
    fresh = await passwords.hashed(_checked_password(password))

    def job(tx: Transaction) -> Agent:
        agent = by_email(tx, email)
        end_sessions(tx, agent.id)
        return _changed(tx, agent.id, password_hash=fresh)

    return await store.write(job)


async def set_duties(store: Store, email: str, roles: Sequence[str], queues: Sequence[str]) -> Agent:
    """Gives the agent other roles and queues; open sockets are closed, so that none goes on with the old ones.

    Raises:
        AgentError: a role or a queue's name can't be used.
        NotFound: nobody has this address.
    """
    values = {"roles": _checked_roles(roles), "queues": _checked_words("queue", queues)}
    return await store.write(lambda tx: _changed(tx, by_email(tx, email).id, **values))


def end_sessions(tx: Transaction, agent: str) -> None:
    """Logs the agent out everywhere; API tokens go too."""
    tx.conn.execute(
        sa.update(agent_sessions)
        .where(agent_sessions.c.agent_id == agent, agent_sessions.c.revoked_at.is_(None))
        .values(revoked_at=tx.now)
    )
    tx.wake("desk")


async def ensure_demo_agent(store: Store, path: Path) -> dict[str, str] | None:
    """Makes the demo agent, once; gives `email` and `password` when it was made now, else None.

    They are kept in the file `path` (mode 0600), which is written before the agent, so that no crash loses them.

    Raises:
        OSError: the file can't be written or read.
    """

    def missing(tx: Transaction) -> bool:
        return tx.conn.execute(sa.select(agents.c.id).where(agents.c.email == DEMO_EMAIL)).first() is None

    if not await store.read(missing):
        return None
    credentials = await asyncio.to_thread(_kept_credentials, path)
    roles = (Role.AGENT.value, Role.SUPERVISOR.value)
    try:
        await add_agent(store, DEMO_EMAIL, DEMO_NAME, roles, password=credentials["password"])
    except Conflict:
        return None
    return credentials


def _kept_credentials(path: Path) -> dict[str, str]:
    """What the file holds, or what is written there now. It appears whole, so that nobody reads half of it."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    fresh = {"email": DEMO_EMAIL, "password": secrets.token_urlsafe(12)}
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(json.dumps(fresh) + "\n")
            file.flush()
            os.fsync(file.fileno())
        path.hardlink_to(draft)
    except FileExistsError:
        kept = json.loads(path.read_text())
        return {"email": DEMO_EMAIL, "password": str(kept["password"])}
    finally:
        draft.unlink(missing_ok=True)
    return fresh


# ------------------------------------------------------------------- checks


def checked_email(email: str) -> str:
    """The address in the form that is stored. Raises AgentError."""
    address = folded(email)
    if len(address) > 254 or not _EMAIL.fullmatch(address):
        raise AgentError("this is not an e-mail address")
    return address


def folded(email: str) -> str:
    """The form in which addresses are compared."""
    return clean_text(email).strip().lower()


def _checked_name(name: str) -> str:
    cleaned = " ".join(clean_text(name).split())
    if not 1 <= len(cleaned) <= 80:
        raise AgentError("a name has 1 to 80 characters")
    return cleaned


def _checked_password(password: str) -> str:
    if len(password) < passwords.MIN_LENGTH:
        raise AgentError(f"a password has at least {passwords.MIN_LENGTH} characters")
    if len(password) > passwords.MAX_LENGTH:
        raise AgentError(f"a password has at most {passwords.MAX_LENGTH} characters")
    return password


def _checked_roles(roles: Sequence[str]) -> list[str]:
    known = [role.value for role in Role]
    unknown = [role for role in roles if role not in known]
    if unknown or not roles:
        raise AgentError(f"roles are {', '.join(known)}, and an agent has at least one")
    return [role for role in known if role in roles]


def _checked_words(what: str, words: Sequence[str]) -> list[str]:
    for word in words:
        if not _WORD.fullmatch(word):
            raise AgentError(f"the name of a {what} has small letters, digits, - and _ only")
    return list(dict.fromkeys(words))


def _checked_skills(skills: Mapping[str, int]) -> dict[str, int]:
    _checked_words("skill", list(skills))
    if any(not 1 <= level <= 5 for level in skills.values()):
        raise AgentError("a skill's level is from 1 to 5")
    return dict(skills)


def _checked_languages(languages: Sequence[str]) -> list[str]:
    for language in languages:
        if not _LANGUAGE.fullmatch(language):
            raise AgentError("a language is a tag such as en or pt-BR")
    return list(dict.fromkeys(languages))
