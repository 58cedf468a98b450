"""Sessions at the desk and the limits of logging in."""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from conversations.errors import NotFound
from conversations.store import Store, Transaction
from conversations.store.tables import agent_sessions, agents, attempts

from . import agents as people
from .agents import Agent, Presence

COOKIE = "session"
API = "api"


@dataclass(frozen=True, slots=True)
class Session:
    """Who asks, and under which session. `key` is the hash of its token."""

    key: str
    kind: str
    agent: Agent


def key_of(token: str) -> str:
    """What is stored of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def begin(tx: Transaction, agent: str, token: str, kind: str, seconds: int | None) -> None:
    """Opens a session under this token; `seconds` None: until it is revoked."""
    tx.conn.execute(
        sa.insert(agent_sessions).values(
            token_hash=key_of(token),
            agent_id=agent,
            kind=kind,
            created_at=tx.now,
            expires_at=None if seconds is None else tx.now + seconds * 1000,
        )
    )


def new_token() -> str:
    """A secret that nobody guesses: 256 random bits."""
    return secrets.token_urlsafe(32)


async def make_api_token(store: Store, email: str) -> str:
    """A token for a program that acts as this agent; it is shown once and lasts until the password changes.

    Raises:
        NotFound: nobody has this address.
    """
    token = new_token()

    def job(tx: Transaction) -> None:
        begin(tx, people.by_email(tx, email).id, token, API, None)

    await store.write(job)
    return token


def find(tx: Transaction, key: str) -> Session | None:
    """The session that lives under this key."""
    return living(tx, [key]).get(key)


def living(tx: Transaction, keys: list[str]) -> dict[str, Session]:
    """Those of these sessions that live, with their agents as they are now."""
    query = (
        people.selected(agent_sessions.c.token_hash, agent_sessions.c.kind)
        .join(agent_sessions, agent_sessions.c.agent_id == agents.c.id)
        .where(
            agent_sessions.c.token_hash.in_(keys),
            agent_sessions.c.revoked_at.is_(None),
            sa.or_(agent_sessions.c.expires_at.is_(None), agent_sessions.c.expires_at > tx.now),
        )
    )
    rows = tx.conn.execute(query).all()
    return {row.token_hash: Session(row.token_hash, row.kind, people.from_row(row)) for row in rows}


def end(tx: Transaction, session: Session) -> None:
    """Logs out. Who has no other session left is away."""
    tx.conn.execute(
        sa.update(agent_sessions)
        .where(agent_sessions.c.token_hash == session.key, agent_sessions.c.revoked_at.is_(None))
        .values(revoked_at=tx.now)
    )
    tx.wake("desk")
    if not _has_another(tx, session.agent.id):
        people.set_presence(tx, session.agent.id, Presence.AWAY, None)


def _has_another(tx: Transaction, agent: str) -> bool:
    query = sa.select(agent_sessions.c.token_hash).where(
        agent_sessions.c.agent_id == agent,
        agent_sessions.c.revoked_at.is_(None),
        sa.or_(agent_sessions.c.expires_at.is_(None), agent_sessions.c.expires_at > tx.now),
    )
    return tx.conn.execute(query.limit(1)).first() is not None


def stored_password(tx: Transaction, email: str) -> tuple[str, str] | None:
    """The id and the password's hash of who has this address."""
    try:
        agent = people.by_email(tx, email)
    except NotFound:
        return None
    stored = tx.conn.execute(sa.select(agents.c.password_hash).where(agents.c.id == agent.id)).scalar_one()
    return agent.id, stored


# -------------------------------------------------------------- log-in limits


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """Failed log-ins in `window_s` seconds, for one e-mail address and from one network address."""

    per_email: int = 10
    per_address: int = 100
    window_s: int = 900


@dataclass(frozen=True, slots=True)
class Guess:
    """A log-in that was counted before its password is looked at. `retry_after`: seconds to wait, when it is one too many."""

    email_key: str
    address_key: str
    retry_after: int | None


def count_guess(tx: Transaction, limits: LoginLimits, email: str, address: str) -> Guess:
    """Counts a log-in before the password is checked, so that guesses side by side are all counted."""
    email_key = "login:email:" + hashlib.sha256(people.folded(email).encode()).hexdigest()[:40]
    address_key = "login:address:" + _network(address)
    waits = [
        _counted(tx, email_key, limits.per_email, limits.window_s),
        _counted(tx, address_key, limits.per_address, limits.window_s),
    ]
    return Guess(email_key, address_key, max((w for w in waits if w is not None), default=None))


def forgive(tx: Transaction, guess: Guess) -> None:
    """The password was right: this address may guess as before, and the network address is not charged for it."""
    tx.conn.execute(sa.delete(attempts).where(attempts.c.key == guess.email_key))
    tx.conn.execute(
        sa.update(attempts)
        .where(attempts.c.key == guess.address_key, attempts.c.count > 0)
        .values(count=attempts.c.count - 1)
    )


def _counted(tx: Transaction, key: str, limit: int, window_s: int) -> int | None:
    over = attempts.c.window_start <= tx.now - window_s * 1000
    insert = sqlite_insert if tx.conn.dialect.name == "sqlite" else postgres_insert
    statement = (
        insert(attempts)
        .values(key=key, window_start=tx.now, count=1)
        .on_conflict_do_update(
            index_elements=[attempts.c.key],
            set_={
                "count": sa.case((over, 1), else_=attempts.c.count + 1),
                "window_start": sa.case((over, tx.now), else_=attempts.c.window_start),
            },
        )
        .returning(attempts.c.count, attempts.c.window_start)
    )
    count, start = tx.conn.execute(statement).one()
    return None if count <= limit else max(1, -(-(start + window_s * 1000 - tx.now) // 1000))


def _network(address: str) -> str:
    """One host for IPv4; for IPv6 its /64, which one customer of a provider has all of."""
    try:
        host = ip_address(address)
    except ValueError:
        return "unknown"
    if isinstance(host, IPv6Address) and host.ipv4_mapped is None:
        return str(ip_network(f"{host}/64", strict=False))
    return str(getattr(host, "ipv4_mapped", None) or host)
