"""Making agents: what is refused, the demo agent, and passwords."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from conversations.errors import Conflict, NotFound
from conversations.store import Store, Transaction
from conversations.store.tables import agents as agents_table
from handoff import agents, passwords
from handoff.agents import AgentError

GOOD: dict[str, Any] = {"email": "ada@foyer.example", "name": "Ada", "password": "long enough!"}


async def test_an_agent_is_made_with_all_that_was_said(store: Store) -> None:
    made = await agents.add_agent(
        store,
        " Ada@Foyer.example ",
        "Ada  Lovelace\x00",
        ("supervisor", "agent"),
        ("billing", "general", "billing"),
        {"contracts": 4},
        ("en", "pt-BR"),
        "long enough!",
    )
    assert (made.email, made.name, made.presence) == ("ada@foyer.example", "Ada Lovelace", "away")
    assert (made.roles, made.queues) == (("agent", "supervisor"), ("billing", "general"))
    assert (made.skills, made.languages) == ({"contracts": 4}, ("en", "pt-BR"))
    assert await store.read(lambda tx: agents.by_email(tx, "ADA@foyer.example")) == made


@pytest.mark.parametrize(
    "wrong",
    [
        {"email": "ada"},
        {"email": "ada@localhost"},
        {"email": "a b@foyer.example"},
        {"email": "ada@foyer.example\nbcc@x.example"},
        {"email": "a" * 65 + "@foyer.example"},
        {"name": " \x00"},
        {"name": "x" * 81},
        {"password": "123456789"},
        {"password": "x" * 257},
        {"roles": ("boss",)},
        {"roles": ()},
        {"queues": ("General Queue",)},
        {"skills": {"contracts": 6}},
        {"skills": {"Contracts!": 1}},
        {"languages": ("english",)},
    ],
    ids=str,
)
async def test_what_is_refused(sqlite_store: Store, wrong: dict[str, Any]) -> None:
    with pytest.raises(AgentError):
        await agents.add_agent(sqlite_store, **(GOOD | wrong))


async def test_an_address_is_taken_once(store: Store) -> None:
    made = await asyncio.gather(*(agents.add_agent(store, **GOOD) for _ in range(3)), return_exceptions=True)
    assert sorted(type(m).__name__ for m in made) == ["Agent", "Conflict", "Conflict"]


async def test_a_password_for_nobody(sqlite_store: Store) -> None:
    with pytest.raises(NotFound):
        await agents.set_password(sqlite_store, "nobody@foyer.example", "long enough!")


async def test_passwords_with_any_characters() -> None:
    for password in ("correct horse", "pässwörd \U0001f600!", "with\x00nul and more", "\ud800 surrogate"):
        stored = await passwords.hashed(password)
        assert stored.startswith("$argon2id$")
        assert await passwords.matches(stored, password)
        assert not await passwords.matches(stored, password + "x")
    assert not await passwords.matches("no hash", "anything")


async def test_the_demo_agent_is_made_once(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "demo-agent.json"
    made = await agents.ensure_demo_agent(store, path)
    assert made is not None
    assert json.loads(path.read_text()) == made
    assert path.stat().st_mode & 0o777 == 0o600
    agent = await store.read(lambda tx: agents.by_email(tx, made["email"]))
    assert (agent.roles, agent.queues) == (("agent", "supervisor"), ("general",))
    assert await agents.ensure_demo_agent(store, path) is None


async def test_a_demo_agent_that_a_crash_interrupted_keeps_its_password(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "demo-agent.json"
    made = await agents.ensure_demo_agent(store, path)

    def lose(tx: Transaction) -> None:
        tx.conn.execute(sa.delete(agents_table))

    await store.write(lose)
    assert await agents.ensure_demo_agent(store, path) == made


async def test_two_front_doors_make_one_demo_agent(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "demo-agent.json"
    made = await asyncio.gather(*(agents.ensure_demo_agent(store, path) for _ in range(3)))
    told = [m for m in made if m is not None]
    assert told == [json.loads(path.read_text())]


def test_a_conflict_is_told_by_its_code() -> None:
    assert Conflict("email_taken", "taken").code == "email_taken"
