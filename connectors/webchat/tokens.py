"""Session tokens: made and signed here, so that no client can choose a thread."""

from __future__ import annotations

from dataclasses import dataclass

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import OctKey

AUDIENCE = "foyer:webchat"
MAX_TOKEN = 2048
"""Characters of a token that is looked at."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What a token says. `expires_at` is in milliseconds since 1970, whole seconds."""

    session: str
    thread: str
    account: str
    expires_at: int


class Tokens:
    """Signs (HS256) and reads tokens under one key. Whether a session still stands, the database says."""

    def __init__(self, key: bytes) -> None:
        self._key = OctKey.import_key(key)

    def sign(self, claims: Claims) -> str:
        """The token of a session."""
        body = {
            "aud": AUDIENCE,
            "jti": claims.session,
            "sub": claims.thread,
            "account": claims.account,
            "exp": claims.expires_at // 1000,
        }
        return jwt.encode({"alg": "HS256"}, body, self._key)

    def read(self, token: str) -> Claims | None:
        """The claims of a token that this key signed for this purpose; None for any other."""
        if len(token) > MAX_TOKEN or not token.isascii():
            return None
        try:
            body = jwt.decode(token, self._key, algorithms=["HS256"]).claims
        except (JoseError, ValueError, TypeError):
            return None
        return _claims(body) if body.get("aud") == AUDIENCE else None


def _claims(body: dict[str, object]) -> Claims | None:
    session, thread, account, expires = (body.get(name) for name in ("jti", "sub", "account", "exp"))
    if not (isinstance(session, str) and isinstance(thread, str) and isinstance(account, str)):
        return None
    return Claims(session, thread, account, expires * 1000) if isinstance(expires, int) else None
