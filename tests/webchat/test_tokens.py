"""Session tokens: what is ours, and what only looks so."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import OctKey

from connectors.webchat.config import WebchatConfig
from connectors.webchat.tokens import AUDIENCE, Claims, Tokens

KEY = b"k" * 32
CLAIMS = Claims("s", "t", "main", 1_700_000_000_000)
TOKENS = Tokens(KEY)


def test_a_token_says_what_was_signed() -> None:
    assert TOKENS.read(TOKENS.sign(CLAIMS)) == CLAIMS


def test_a_token_of_another_key_is_nothing() -> None:
    assert TOKENS.read(Tokens(b"x" * 32).sign(CLAIMS)) is None


def test_a_changed_token_is_nothing() -> None:
    head, body, signature = TOKENS.sign(CLAIMS).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    other = base64.urlsafe_b64encode(json.dumps(claims | {"sub": "t2"}).encode()).decode().rstrip("=")
    assert TOKENS.read(f"{head}.{other}.{signature}") is None


@pytest.mark.parametrize("algorithm", ["HS512", "HS384"])
def test_the_algorithm_is_ours_to_choose(algorithm: str) -> None:
    claims = {"aud": AUDIENCE, "jti": "s", "sub": "t", "account": "main", "exp": 1}
    token = jwt.encode({"alg": algorithm}, claims, OctKey.import_key(KEY * 2), algorithms=[algorithm])
    assert Tokens(KEY * 2).read(token) is None


def test_a_token_without_signature_is_nothing() -> None:
    head, body = (
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "none"}, {"aud": AUDIENCE, "jti": "s", "sub": "t", "account": "main", "exp": 9})
    )
    assert TOKENS.read(f"{head}.{body}.") is None


@pytest.mark.parametrize("more", [{"crit": 1}, {"crit": ["b64"], "b64": False}, {"kid": 1}, {"typ": []}])
def test_a_header_of_the_wrong_shape_is_nothing(more: dict[str, object]) -> None:
    _, body, signature = TOKENS.sign(CLAIMS).split(".")
    head = base64.urlsafe_b64encode(json.dumps({"alg": "HS256"} | more).encode()).decode().rstrip("=")
    assert TOKENS.read(f"{head}.{body}.{signature}") is None


@pytest.mark.parametrize(
    "claims",
    [
        {"jti": "s", "sub": "t", "account": "main", "exp": 1},
        {"aud": "another purpose", "jti": "s", "sub": "t", "account": "main", "exp": 1},
        {"aud": AUDIENCE, "sub": "t", "account": "main", "exp": 1},
        {"aud": AUDIENCE, "jti": 5, "sub": "t", "account": "main", "exp": 1},
        {"aud": AUDIENCE, "jti": "s", "sub": "t", "account": "main", "exp": "never"},
        {"aud": AUDIENCE, "jti": "s", "sub": "t", "account": "main"},
    ],
)
def test_what_our_key_signed_for_something_else_is_nothing(claims: dict[str, object]) -> None:
    assert TOKENS.read(jwt.encode({"alg": "HS256"}, claims, OctKey.import_key(KEY))) is None


@given(st.text(max_size=60))
def test_anything_else_is_nothing(text: str) -> None:
    assert TOKENS.read(text) is None
    assert TOKENS.read(f"{text}.{text}.{text}") is None


def test_endless_tokens_are_not_looked_at() -> None:
    assert TOKENS.read("a" * 1_000_000) is None


def test_a_short_key_is_refused_at_start() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        WebchatConfig(key=b"short")


def test_secrets_do_not_show() -> None:
    assert "hidden" not in repr(WebchatConfig(key=b"hidden" * 6, app_key="hidden"))
