"""Signed identity: whom a site vouches for, and everything that must prove nothing."""

from __future__ import annotations

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Callable
from hashlib import sha256
from typing import Any

import pytest
import sqlalchemy as sa
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from joserfc import jwt
from joserfc.jwk import OKPKey, RSAKey

from connectors.webchat import Site
from connectors.webchat.identity import BadIdentity, IdentityRule, Verifier
from conversations.store import Store, Transaction, identities, threads
from conversations.store.tables import customers
from tests.webchat.world import SITE, Customer, House, config, open_house

SECRET = "a secret of the site and of this server alone"
OTHER = "another secret of forty characters, no less"
RSA = RSAKey.generate_key(2048)
CURVE = OKPKey.generate_key("Ed25519")
NOW = 1_800_000_000


def pem(key: RSAKey | OKPKey, private: bool = False) -> str:
    return key.as_pem(private=private).decode()


RULES = {
    "HS256": IdentityRule("HS256", SECRET, "foyer"),
    "RS256": IdentityRule("RS256", pem(RSA), "foyer"),
    "EdDSA": IdentityRule("EdDSA", pem(CURVE), "foyer"),
}


def encoded(part: object) -> str:
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def claims(now: float = NOW, **changes: Any) -> dict[str, Any]:
    body = {"sub": "customer-7", "aud": "foyer", "iat": int(now), "exp": int(now) + 300}
    return {name: value for name, value in (body | changes).items() if value is not None}


def by_secret(body: dict[str, Any], secret: str = SECRET, **header: Any) -> str:
    """A token made by hand, with whatever its header claims."""
    signed = f"{encoded({'alg': 'HS256', **header})}.{encoded(body)}"
    return f"{signed}.{encoded(hmac.digest(secret.encode(), signed.encode(), sha256))}"


def by_rsa(body: dict[str, Any], key: RSAKey = RSA) -> str:
    return jwt.encode({"alg": "RS256"}, body, key)


def by_curve(body: dict[str, Any], key: OKPKey = CURVE, alg: str = "EdDSA") -> str:
    signed = f"{encoded({'alg': alg})}.{encoded(body)}"
    private = key.private_key
    assert isinstance(private, ed25519.Ed25519PrivateKey)
    return f"{signed}.{encoded(private.sign(signed.encode()))}"


def weak() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024).public_key()  # noqa: S505
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


SIGNED: dict[str, Callable[[dict[str, Any]], str]] = {"HS256": by_secret, "RS256": by_rsa, "EdDSA": by_curve}

# ------------------------------------------------------------------ tokens


@pytest.mark.parametrize("algorithm", RULES)
def test_what_the_site_signed_is_believed(algorithm: str) -> None:
    told = claims(name="Ada Lovelace", email="ada@example.com", phone="+447700900123")
    person = Verifier(RULES[algorithm]).read(SIGNED[algorithm](told), NOW)
    assert (person.sub, person.name, person.email, person.phone) == (
        "customer-7",
        "Ada Lovelace",
        "ada@example.com",
        "+447700900123",
    )


def test_the_curve_s_own_name_is_understood() -> None:
    assert Verifier(RULES["EdDSA"]).read(by_curve(claims(), alg="Ed25519"), NOW).sub == "customer-7"


def refused(rule: IdentityRule, token: str, now: float = NOW) -> str:
    with pytest.raises(BadIdentity) as caught:
        Verifier(rule).read(token, now)
    return caught.value.reason


@pytest.mark.parametrize("configured", RULES)
@pytest.mark.parametrize("used", SIGNED)
def test_another_algorithm_than_the_configured_one_proves_nothing(configured: str, used: str) -> None:
    if configured != used:
        assert refused(RULES[configured], SIGNED[used](claims())) == "signature"


@pytest.mark.parametrize("configured", ["RS256", "EdDSA"])
def test_the_public_key_as_a_shared_secret_proves_nothing(configured: str) -> None:
    rule = RULES[configured]
    assert refused(rule, by_secret(claims(), rule.key)) == "signature"
    assert refused(rule, by_secret(claims(), rule.key, alg=configured)) == "signature"


@pytest.mark.parametrize("configured", RULES)
@pytest.mark.parametrize("alg", ["none", "None", "", None, 7, ["HS256"], "HS512"])
def test_no_algorithm_or_an_odd_one_proves_nothing(configured: str, alg: object) -> None:
    unsigned = f"{encoded({'alg': alg})}.{encoded(claims())}."
    assert refused(RULES[configured], unsigned) == "signature"
    assert refused(RULES[configured], by_secret(claims(), alg=alg)) == "signature"


def test_a_key_that_the_token_brings_along_proves_nothing() -> None:
    own = RSAKey.generate_key(2048)
    header = {
        "alg": "RS256",
        "jwk": own.as_dict(private=False),
        "jku": "https://evil.example/keys",
        "kid": "1",
    }
    assert refused(RULES["RS256"], jwt.encode(header, claims(), own)) == "signature"


def test_other_keys_prove_nothing() -> None:
    assert refused(RULES["HS256"], by_secret(claims(), OTHER)) == "signature"
    assert refused(RULES["RS256"], by_rsa(claims(), RSAKey.generate_key(2048))) == "signature"
    assert refused(RULES["EdDSA"], by_curve(claims(), OKPKey.generate_key("Ed25519"))) == "signature"


def test_a_changed_token_proves_nothing() -> None:
    header, _, signature = by_secret(claims()).split(".")
    assert refused(RULES["HS256"], f"{header}.{encoded(claims(sub='customer-8'))}.{signature}") == "signature"


@pytest.mark.parametrize("crit", [["b64"], ["exp"], "b64", []])
def test_critical_extensions_that_nobody_knows_are_refused(crit: object) -> None:
    assert refused(RULES["HS256"], by_secret(claims(), crit=crit, b64=False)) == "signature"


@pytest.mark.parametrize("token", ["", "x", "a.b", "a.b.c", "a.b.c.d", "....", "\u0661.a.b", "." * 8000])
def test_what_is_no_token_is_refused(token: str) -> None:
    assert refused(RULES["HS256"], token) in ("malformed", "signature")


@pytest.mark.parametrize("body", [b"[]", b"7", b"null", b"\xff", b"{", b"[" * 5000])
def test_claims_that_are_no_object_are_refused(body: bytes) -> None:
    signed = f"{encoded({'alg': 'HS256'})}.{encoded(body)}"
    token = f"{signed}.{encoded(hmac.digest(SECRET.encode(), signed.encode(), sha256))}"
    assert refused(RULES["HS256"], token) in ("malformed", "signature")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW}, "expired"),
        ({"exp": NOW - 1}, "expired"),
        ({"exp": NOW + 631}, "too_long_lived"),
        ({"exp": 9e99}, "malformed"),
        ({"exp": None}, "malformed"),
        ({"exp": "soon"}, "malformed"),
        ({"exp": True}, "malformed"),
        ({"exp": str(NOW + 60)}, "malformed"),
        ({"iat": None}, "malformed"),
        ({"iat": NOW + 31}, "not_yet_valid"),
        ({"nbf": NOW + 31}, "not_yet_valid"),
        ({"nbf": "later"}, "malformed"),
        ({"aud": None}, "audience"),
        ({"aud": "other"}, "audience"),
        ({"aud": ["other", "third"]}, "audience"),
        ({"aud": "foyer2"}, "audience"),
        ({"aud": {"foyer": 1}}, "audience"),
        ({"sub": None}, "subject"),
        ({"sub": ""}, "subject"),
        ({"sub": "  "}, "subject"),
        ({"sub": 7}, "subject"),
        ({"sub": "a" * 256}, "subject"),
        ({"sub": "a\x00b"}, "subject"),
        ({"sub": "\ud800"}, "subject"),
    ],
)
def test_claims_that_are_wrong(changes: dict[str, Any], reason: str) -> None:
    assert refused(RULES["HS256"], by_secret(claims(**changes))) == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW + 1},
        {"exp": NOW + 600},
        {"exp": NOW + 0.5},
        {"iat": NOW + 30},
        {"iat": NOW - 86_400},
        {"aud": ["other", "foyer"]},
        {"sub": "a" * 255},
        {"sub": "\u540d\u524d"},
    ],
)
def test_claims_that_are_just_right(changes: dict[str, Any]) -> None:
    assert Verifier(RULES["HS256"]).read(by_secret(claims(**changes)), NOW)


def test_details_that_are_nothing_to_show_are_left_out() -> None:
    odd = claims(name={"first": "Ada"}, email="  ", phone="\x00 12\n34 ")
    person = Verifier(RULES["HS256"]).read(by_secret(odd), NOW)
    assert (person.name, person.email, person.phone) == (None, None, "12 34")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (IdentityRule("HS256", "short", "a"), "at least 32"),
        (IdentityRule("HS256", pem(RSA), "a"), "shared secret"),
        (IdentityRule("RS256", SECRET, "a"), "public key, as PEM"),
        (IdentityRule("RS256", pem(CURVE), "a"), "public key, as PEM"),
        (IdentityRule("RS256", pem(RSA, private=True), "a"), "keep the private one"),
        (IdentityRule("RS256", weak(), "a"), "2048 bits"),
        (IdentityRule("EdDSA", pem(RSA), "a"), "public key, as PEM"),
        (IdentityRule("EdDSA", pem(OKPKey.generate_key("X25519")), "a"), "Ed25519"),
        (IdentityRule("none", SECRET, "a"), "HS256, RS256, EdDSA"),  # type: ignore[arg-type]
        (IdentityRule("HS256", SECRET, ""), "audience"),
    ],
)
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
def test_a_key_that_does_not_fit_is_refused_without_showing_it(rule: IdentityRule, told: str) -> None:
    with pytest.raises(ValueError, match=told) as caught:
        Verifier(rule)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(rule)


def test_two_accounts_never_share_an_audience() -> None:
    with pytest.raises(ValueError, match="audience of its own"):
        config(identity=RULES["HS256"], sites={"two": Site(identity=RULES["RS256"])})


# ---------------------------------------------------------------- sessions

TWO = "https://two.example"


@pytest.fixture
async def house(store: Store) -> AsyncIterator[House]:
    second = Site(frozenset({TWO}), "app-key-of-two", IdentityRule("HS256", SECRET, "two"))
    third = Site(frozenset({SITE}), "app-key-of-three")
    settings = config(identity=RULES["HS256"], sites={"two": second, "three": third})
    async with open_house(store, settings) as opened:
        yield opened


async def token(house: House, sub: str, **changes: Any) -> str:
    now = await house.store.read(lambda tx: tx.now / 1000)
    return by_secret(claims(now, sub=sub, **changes))


async def enters(house: House, sub: str, **body: object) -> Customer:
    customer = Customer(house, await house.session(identity=await token(house, sub), **body))
    await customer.connects()
    return customer


async def test_the_same_person_goes_on_in_one_thread_on_every_device(house: House) -> None:
    phone = await enters(house, "ada")
    await phone.says("from the phone")
    laptop = await enters(house, "ada")
    assert laptop.thread == phone.thread
    assert laptop.token != phone.token
    await laptop.hears("from the phone")
    assert (await enters(house, "grace")).thread != phone.thread


async def test_two_first_visits_at_once_make_one_thread(house: House) -> None:
    found = await asyncio.gather(*(enters(house, "ada") for _ in range(5)))
    assert len({customer.thread for customer in found}) == 1


async def test_a_resumed_session_of_the_same_person_goes_on(house: House) -> None:
    first = await enters(house, "ada")
    again = await enters(house, "ada", resume=first.token)
    assert again.thread == first.thread
    await first.says("the first socket stands")


async def test_a_resume_that_is_another_s_gives_a_thread_of_one_s_own(house: House) -> None:
    ada = await enters(house, "ada")
    await ada.says("for Ada's eyes")
    grace = await enters(house, "grace", resume=ada.token)
    assert grace.thread != ada.thread
    assert await grace.everything() == []
    await ada.says("still here")
    back = await enters(house, "grace", resume=ada.token)
    assert back.thread == grace.thread


async def test_who_signs_in_keeps_the_talk_that_began_before(house: House) -> None:
    stranger = await house.customer()
    await stranger.says("I am about to sign in")
    known = await enters(house, "ada", resume=stranger.token)
    assert known.thread == stranger.thread
    await known.hears("I am about to sign in")


async def test_signing_in_ends_the_sessions_that_somebody_else_may_have_kept(house: House) -> None:
    stranger = await house.customer()
    await stranger.says("a public computer")
    await enters(house, "ada", resume=stranger.token)
    assert await stranger.is_closed_with() == 4401
    assert (await house.get("/chat/messages", stranger.token))[0] == 401
    assert (await house.session(resume=stranger.token))["thread"] != stranger.thread


async def test_who_had_a_thread_brings_the_new_talk_to_the_same_customer(house: House) -> None:
    before = await enters(house, "ada")
    await before.says("last month")
    stranger = await house.customer()
    await stranger.says("today, not yet signed in")
    now = await enters(house, "ada", resume=stranger.token)
    assert now.thread == stranger.thread

    def owners(tx: Transaction) -> set[str]:
        return {threads.find(tx, one.thread).customer_id for one in (before, now)}

    assert len(await house.store.read(owners)) == 1
    assert (await enters(house, "ada")).thread == now.thread


async def test_the_agent_learns_what_the_site_said(house: House) -> None:
    told = await token(house, "ada", name="Ada Lovelace", email="ada@example.com")
    opened = await house.session(identity=told)

    def look(tx: Transaction) -> tuple[Any, Any]:
        customer = threads.find(tx, opened["thread"]).customer_id
        name = tx.conn.execute(sa.select(customers.c.name).where(customers.c.id == customer)).scalar()
        return name, identities.of_customer(tx, customer)

    name, (identity,) = await house.store.read(look)
    assert name == "Ada Lovelace"
    assert (identity.address, identity.email, identity.method) == ("ada", "ada@example.com", "signed")
    assert identity.thread_id == opened["thread"]


async def test_a_wrong_identity_is_401_and_opens_nothing(house: House) -> None:
    first = await enters(house, "ada")
    for wrong in (by_secret(claims(NOW - 10**8)), await token(house, "ada", aud="two"), "nonsense"):
        status, body, headers = await house.post("/chat/session", {"identity": wrong, "resume": first.token})
        assert (status, body["error"]["code"]) == (401, "bad_identity")
        assert body["error"]["details"]["reason"] in ("expired", "audience", "malformed")
        assert "WWW-Authenticate" in headers


async def test_an_identity_of_one_account_is_worth_nothing_at_another(house: House) -> None:
    told = await token(house, "ada")
    status, body, _ = await house.post(
        "/chat/session", {"account": "two", "identity": told}, {"X-Foyer-App": "app-key-of-two"}
    )
    assert (status, body["error"]["details"]["reason"]) == (401, "audience")
    here = await enters(house, "ada")
    there = await token(house, "ada", aud="two")
    status, body, _ = await house.post(
        "/chat/session",
        {"account": "two", "identity": there, "resume": here.token},
        {"X-Foyer-App": "app-key-of-two"},
    )
    assert status == 201
    assert body["thread"] != here.thread


async def test_an_account_without_a_rule_says_so(house: House) -> None:
    status, body, _ = await house.post(
        "/chat/session",
        {"account": "three", "identity": await token(house, "ada")},
        {"X-Foyer-App": "app-key-of-three"},
    )
    assert (status, body["error"]["code"]) == (422, "not_supported")


async def test_guessing_is_limited(store: Store) -> None:
    settings = config(identity=RULES["HS256"], session_burst=3, sessions_per_minute=1)
    async with open_house(store, settings) as house:
        house.seconds.step = 0
        found = [(await house.post("/chat/session", {"identity": "a.b.c"}))[0] for _ in range(5)]
    assert found == [401, 401, 401, 429, 429]


async def test_an_identity_is_not_needed_to_go_on_with_one_s_session(house: House) -> None:
    ada = await enters(house, "ada")
    again = await house.session(resume=ada.token)
    assert again["thread"] == ada.thread


async def test_after_signing_out_the_next_one_is_a_stranger(house: House) -> None:
    ada = await enters(house, "ada")
    status, _, _ = await house.post("/chat/session/end", headers={"Authorization": f"Bearer {ada.token}"})
    assert status == 200
    stranger = await house.session(resume=ada.token)
    assert stranger["thread"] != ada.thread
    assert (await enters(house, "ada", resume=ada.token)).thread == ada.thread
