"""Signed identity: a JWT by which the embedding site says who its customer is. Pure, but for the key that it is given."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

Algorithm = Literal["HS256", "RS256", "EdDSA"]

AHEAD_S = 600
"""How far ahead a token may expire: who finds an old one can do nothing with it."""
LEEWAY_S = 30
"""How far the site's clock may be ahead of ours."""
MIN_SECRET = 32
MIN_RSA_BITS = 2048
MAX_SUB = 255
MAX_DETAIL = 320

_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

Reason = Literal[
    "malformed", "signature", "audience", "expired", "too_long_lived", "not_yet_valid", "subject"
]


@dataclass(frozen=True, slots=True)
class IdentityRule:
    """How one account's site signs: by one algorithm, whatever a token says of itself.

    `key` is the shared secret of HS256 (32 bytes at least), or the site's public key as PEM. Accounts need audiences of
    their own, so that what was signed for one is worth nothing at another.
    """

    algorithm: Algorithm
    key: str = field(repr=False)
    audience: str


@dataclass(frozen=True, slots=True)
class Person:
    """Who the site says is there. `sub` is its own name for them; the others are what it cared to tell."""

    sub: str
    name: str | None = None
    email: str | None = None
    phone: str | None = None


class BadIdentity(Exception):
    """A token that proves nothing; `reason` tells the site's developer why."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(f"the identity is refused: {reason.replace('_', ' ')}")
        self.reason = reason


class _OneAlgorithm(JWSRegistry):
    """Knows a single algorithm. joserfc warns of EdDSA by its old name at each use; sites sign with it nonetheless."""

    def __init__(self, algorithm: str) -> None:
        # RFC 9864 calls the same signature by the curve's name.
        self._names = ("EdDSA", "Ed25519") if algorithm == "EdDSA" else (algorithm,)
        super().__init__(algorithms=list(self._names))

    def get_alg(self, name: str) -> Any:
        if name not in self._names:
            raise BadIdentity("signature")
        return self.algorithms[name]


class Verifier:
    """Reads the tokens of one account.

    Raises:
        ValueError: the rule's key is not one for its algorithm; the text says what is needed, never the key.
    """

    def __init__(self, rule: IdentityRule) -> None:
        if not rule.audience:
            raise ValueError("signed identity needs an audience")
        self._audience = rule.audience
        self._key = _key(rule)
        self._registry = _OneAlgorithm(rule.algorithm)

    def read(self, token: str, now: float) -> Person:
        """The person of a token that is good at `now`, in seconds since 1970. Raises BadIdentity."""
        claims = self._signed(token)
        audience = claims.get("aud")
        if self._audience not in (audience if isinstance(audience, list) else [audience]):
            raise BadIdentity("audience")
        _check_times(claims, now)
        return _person(claims)

    def _signed(self, token: str) -> dict[str, Any]:
        if not token.isascii() or token.count(".") != 2:
            raise BadIdentity("malformed")
        try:
            claims = jwt.decode(token, self._key, registry=self._registry).claims
        except BadIdentity:
            raise
        except (JoseError, ValueError, TypeError, RecursionError):
            raise BadIdentity("signature") from None
        if not isinstance(claims, dict):
            raise BadIdentity("malformed")
        return claims


def check_identity(rule: IdentityRule) -> None:
    """Raises ValueError when the rule's key is not one for its algorithm."""
    Verifier(rule)


def _key(rule: IdentityRule) -> OctKey | RSAKey | OKPKey:
    if rule.algorithm not in get_args(Algorithm):
        raise ValueError(f"signed identity knows {', '.join(get_args(Algorithm))}")
    if rule.algorithm == "HS256":
        return _secret(rule.key)
    wanted = RSAKey if rule.algorithm == "RS256" else OKPKey
    try:
        key: RSAKey | OKPKey = wanted.import_key(rule.key)
    except (JoseError, ValueError, TypeError):
        raise ValueError(f"{rule.algorithm} needs the site's public key, as PEM") from None
    if key.is_private:
        raise ValueError(f"{rule.algorithm} needs the public key: keep the private one at the site")
    if isinstance(key, RSAKey) and key.public_key.key_size < MIN_RSA_BITS:
        raise ValueError(f"an RSA key needs at least {MIN_RSA_BITS} bits")
    if isinstance(key, OKPKey) and key.curve_name != "Ed25519":
        raise ValueError("EdDSA needs a key of the curve Ed25519")
    return key


def _secret(secret: str) -> OctKey:
    if "-----BEGIN" in secret:
        raise ValueError("HS256 needs a shared secret; this is a key for RS256 or EdDSA")
    if len(secret.encode()) < MIN_SECRET:
        raise ValueError(f"HS256 needs a secret of at least {MIN_SECRET} characters")
    return OctKey.import_key(secret)


def _check_times(claims: dict[str, Any], now: float) -> None:
    issued, expires = _moment(claims, "iat"), _moment(claims, "exp")
    if expires <= now:
        raise BadIdentity("expired")
    if expires > now + AHEAD_S + LEEWAY_S:
        raise BadIdentity("too_long_lived")
    if issued > now + LEEWAY_S or ("nbf" in claims and _moment(claims, "nbf") > now + LEEWAY_S):
        raise BadIdentity("not_yet_valid")


def _moment(claims: dict[str, Any], name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise BadIdentity("malformed")
    return value


def _person(claims: dict[str, Any]) -> Person:
    sub = claims.get("sub")
    if not isinstance(sub, str) or not 0 < len(sub) <= MAX_SUB or _CONTROLS.search(sub) or not sub.strip():
        raise BadIdentity("subject")
    return Person(sub, *(_detail(claims.get(name)) for name in ("name", "email", "phone")))


def _detail(value: object) -> str | None:
    """What is told beside: left out where it is nothing to show."""
    if not isinstance(value, str):
        return None
    return " ".join(_CONTROLS.sub(" ", value).split())[:MAX_DETAIL] or None
