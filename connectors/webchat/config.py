"""What web chat is told when the application is put together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .identity import IdentityRule, Verifier

MAIN = "main"
"""The account of who names none."""


@dataclass(frozen=True, slots=True)
class Site:
    """Who may open chats on one account: web origins (`https://host[:port]`), and programs that hold the key.

    An empty key admits no program. `identity`: how the site signs who its customers are; None: it does not.
    """

    origins: frozenset[str] = frozenset()
    app_key: str = field(default="", repr=False)
    identity: IdentityRule | None = None


@dataclass(frozen=True, slots=True)
class WebchatConfig:
    """Settings of the channel. `key` signs sessions (at least 32 bytes); `origins`, `app_key` and `identity` belong
    to account `main`, `sites` holds further accounts. Durations are seconds.

    `sweep_seconds`: how often sockets are held against the database for wake-ups that were lost. A bus inside the
    process loses none; nodes without a shared bus need about 1.
    `sessions_per_minute` and `session_burst` count for one peer address; `frame_*` for one session.
    `flood` frames refused (one is forgiven each second) close the socket.
    """

    key: bytes = field(repr=False)
    origins: tuple[str, ...] = ()
    app_key: str = field(default="", repr=False)
    identity: IdentityRule | None = None
    session_seconds: int = 30 * 86_400
    sites: Mapping[str, Site] = field(default_factory=dict)
    hello_seconds: float = 10.0
    heartbeat_seconds: float = 25.0
    send_seconds: float = 20.0
    close_seconds: float = 3.0
    sweep_seconds: float = 30.0
    sessions_per_minute: float = 60.0
    session_burst: int = 100
    frames_per_second: float = 10.0
    frame_burst: int = 20
    flood: int = 60
    sockets_per_thread: int = 8

    def __post_init__(self) -> None:
        if len(self.key) < 32:
            raise ValueError("the key that signs web chat sessions needs at least 32 bytes")
        if MAIN in self.sites:
            raise ValueError("account main is configured by origins and app_key, not in sites")
        audiences = [site.identity.audience for site in self._sites().values() if site.identity]
        if len(audiences) > len(set(audiences)):
            raise ValueError("each account needs an audience of its own: an identity is good for one of them")

    def site(self, account: str) -> Site | None:
        """The rules of an account; None when there is no such account."""
        if account == MAIN:
            return Site(_lowered(self.origins), self.app_key, self.identity)
        return self.sites.get(account)

    def verifiers(self) -> Mapping[str, Verifier]:
        """What reads signed identities, by account. Raises ValueError where a key does not fit its algorithm."""
        sites = self._sites().items()
        return {account: Verifier(site.identity) for account, site in sites if site.identity is not None}

    def _sites(self) -> Mapping[str, Site]:
        return {MAIN: Site(_lowered(self.origins), self.app_key, self.identity), **self.sites}

    def all_origins(self) -> frozenset[str]:
        """Origins of any account: what is known before a request names its account."""
        return _lowered(self.origins).union(*(_lowered(site.origins) for site in self.sites.values()))


def _lowered(origins: tuple[str, ...] | frozenset[str]) -> frozenset[str]:
    return frozenset(origin.lower() for origin in origins)
