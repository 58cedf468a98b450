"""An installation's settings: environment variables that begin with ``FOYER_``, or lines in ``.env``."""

from __future__ import annotations

import os
import secrets
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ROOT = Path(__file__).resolve().parent.parent
PREFIX = "FOYER_"

Names = Annotated[tuple[str, ...], NoDecode]

# What is generated when unset, and the file in the home that keeps it.
_GENERATED = {"assistant_token": "assistant.token", "chat_app_key": "chat-app.key", "secret": "secret.key"}


class SettingsError(Exception):
    """Settings that can't be used; the text names each variable and what is wrong, never its value."""


def _host_and_port(data: dict[str, Any]) -> str:
    host = data.get("host", "127.0.0.1")
    shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    return f"[{shown}]:{data['port']}" if ":" in shown else f"{shown}:{data['port']}"


def _default_public_url(data: dict[str, Any]) -> str:
    return f"http://{_host_and_port(data)}"


def _default_origins(data: dict[str, Any]) -> tuple[str, ...]:
    port = data["port"]
    public = urlsplit(data["public_url"])
    own = (f"{public.scheme}://{public.netloc}", f"http://127.0.0.1:{port}", f"http://localhost:{port}")
    return tuple(dict.fromkeys(own))


def _sqlite_in_home(name: str) -> Any:
    return lambda data: f"sqlite:///{data['home'] / name}"


class Settings(BaseSettings):
    """One installation's settings, checked. Durations are in the unit that the description names."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ROOT / ".env",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
    )

    home: Path = Field(
        ROOT / "var", description="Folder of this installation's state; relative to the project's root."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    port: int = Field(8040, ge=1, le=65535, description="Port to listen on.")
    public_url: str = Field(
        default_factory=_default_public_url, description="Address under which others reach the front door."
    )

    database_url: str = Field(
        default_factory=_sqlite_in_home("foyer.db"),
        repr=False,
        description="Database of conversations: sqlite:/// or postgresql://.",
    )
    redis_url: str | None = Field(
        None, repr=False, description="Redis for wake-ups between several front doors."
    )
    accounts_url: str = Field(
        default_factory=_sqlite_in_home("accounts.db"),
        repr=False,
        description="Database of customers' accounts, read by the actions.",
    )

    assistant_url: Names = Field((), description="Rasa processes, comma-separated; empty: `up` starts one.")
    assistant_token: SecretStr = Field(SecretStr(""), description="Bearer token between front door and Rasa.")
    actions_url: str | None = Field(None, description="Action server's webhook; empty: `up` starts one.")
    action_timeout: float = Field(3.0, gt=0, description="Seconds that Rasa waits for a custom action.")
    assistant_timeout: float = Field(
        8.0, gt=0, description="Seconds that the front door waits for Rasa's answer to one turn."
    )
    turn_lease: float = Field(15.0, gt=0, description="Seconds for which a worker holds a conversation.")
    assistant_patience: float = Field(
        25.0, gt=0, description="Seconds of failing attempts after which a turn becomes a handoff."
    )
    turn_workers: int = Field(8, ge=1, le=256, description="Turns at the same time.")
    silence_close_hours: float = Field(
        24.0, gt=0, description="Hours without a message after which a conversation closes."
    )

    trusted_proxies: Names = Field(
        (), description="Networks whose forwarding headers count, comma-separated."
    )
    chat_origins: Names = Field(
        default_factory=_default_origins, description="Web origins that may embed the chat, comma-separated."
    )
    chat_app_key: SecretStr = Field(
        SecretStr(""), description="Key of programs that open web chats (header X-Foyer-App)."
    )
    chat_identity_algorithm: Literal["HS256", "RS256", "EdDSA"] | None = Field(
        None, description="How the embedding site signs who its customers are; empty: it does not."
    )
    chat_identity_key: SecretStr = Field(
        SecretStr(""),
        description="Shared secret of HS256 (at least 32 characters), or the site's public key as PEM.",
    )
    chat_identity_key_file: Path | None = Field(
        None, description="File that holds that key, instead; relative to the project's root."
    )
    chat_identity_audience: str = Field(
        "foyer", min_length=1, description="What signed identities name as their audience (aud)."
    )
    chat_session_hours: float = Field(720.0, gt=0, description="Hours for which a web chat can be resumed.")
    desk_session_hours: float = Field(12.0, gt=0, description="Hours after which an agent logs in again.")
    secret: SecretStr = Field(
        SecretStr(""), description="Key that signs sessions and links; at least 32 characters."
    )

    metrics_token: SecretStr = Field(
        SecretStr(""), description="Bearer token for /metrics; empty: loopback only."
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe line that is logged."
    )
    log_format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: readable in a terminal, JSON elsewhere."
    )
    demo: Literal["auto", "on", "off"] = Field(
        "auto", description="Demo agent; auto: only while the public address is loopback."
    )

    @field_validator("assistant_url", "trusted_proxies", "chat_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("home")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return (ROOT / value.expanduser()).resolve()

    @field_validator("database_url")
    @classmethod
    def _database(cls, value: str) -> str:
        parts = urlsplit(value)
        named = parts.path.strip("/") and parts.scheme.partition("+")[0] in {"sqlite", "postgresql"}
        if not named or not _has_usable_port(value):
            raise ValueError(
                "needs the form sqlite:////folder/file.db or postgresql://user:password@host/name"
            )
        return value

    @field_validator("public_url", "actions_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        return None if value is None else _checked_web_address(value)

    @field_validator("assistant_url")
    @classmethod
    def _web_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked_web_address(part) for part in value)

    @field_validator("chat_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(_checked_origin(part) for part in value)

    @field_validator("trusted_proxies")
    @classmethod
    def _networks(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(ip_network(part, strict=False)) for part in value)

    @field_validator("secret")
    @classmethod
    def _long_enough(cls, value: SecretStr) -> SecretStr:
        if 0 < len(value.get_secret_value()) < 32:
            raise ValueError("needs at least 32 characters")
        return value

    @model_validator(mode="after")
    def _identity_has_one_key(self) -> Self:
        keys = [bool(self.chat_identity_key.get_secret_value()), self.chat_identity_key_file is not None]
        if sum(keys) != (self.chat_identity_algorithm is not None):
            raise ValueError(
                "FOYER_CHAT_IDENTITY_ALGORITHM goes with one of FOYER_CHAT_IDENTITY_KEY and FOYER_CHAT_IDENTITY_KEY_FILE"
            )
        return self

    @model_validator(mode="after")
    def _deadlines_nest(self) -> Self:
        if not self.action_timeout < self.assistant_timeout < self.turn_lease:
            raise ValueError("FOYER_ACTION_TIMEOUT < FOYER_ASSISTANT_TIMEOUT < FOYER_TURN_LEASE must hold")
        return self

    @property
    def local_only(self) -> bool:
        """Whether the public address is a loopback one, so that demo parts are harmless."""
        return _is_loopback(urlsplit(self.public_url).hostname or "")

    @property
    def demo_enabled(self) -> bool:
        """Whether a demo agent is made at the first start."""
        return self.demo == "on" or (self.demo == "auto" and self.local_only)

    @property
    def uses_sqlite(self) -> bool:
        """Whether the conversations live in an SQLite file, which one process alone may open."""
        return self.database_url.startswith("sqlite")


def _has_usable_port(url: str) -> bool:
    try:
        return urlsplit(url).port != 0
    except ValueError:
        return False


def _checked_web_address(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError("needs the form http://host[:port] or https://host")
    return value.rstrip("/")


def _checked_origin(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.netloc or parts.path.strip("/") or parts.query:
        raise ValueError("an origin has the form https://host[:port], without a path")
    return f"{parts.scheme}://{parts.netloc}".lower()


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def load_settings(**overrides: Any) -> Settings:
    """Settings from the environment, ``.env`` and ``overrides`` (those that are not None), in rising order.

    Reads only. Raises SettingsError with one line a fault.
    """
    given = {name: value for name, value in overrides.items() if value is not None}
    try:
        return Settings(**given)
    except ValidationError as error:
        raise SettingsError("\n".join(_faults(error))) from None


def _faults(error: ValidationError) -> list[str]:
    # Defaults that could not be derived because of another fault would only repeat it.
    return [_fault(part) for part in error.errors() if part["type"] != "default_factory_not_called"]


def _fault(part: Any) -> str:
    message = str(part["msg"]).removeprefix("Value error, ")
    return f"{PREFIX}{str(part['loc'][0]).upper()}: {message}" if part["loc"] else message


def prepare_home(settings: Settings) -> Settings:
    """Makes the home (mode 0700) and fills the secrets that are unset with values kept there (mode 0600).

    Safe when several processes do it at once. Raises SettingsError when the folder can't be used.
    """
    try:
        _make_private(settings.home)
        kept = {
            name: SecretStr(_kept_secret(settings.home / file))
            for name, file in _GENERATED.items()
            if not getattr(settings, name).get_secret_value()
        }
    except OSError as error:
        raise SettingsError(f"{PREFIX}HOME: can't use {settings.home}: {error.strerror}") from error
    return settings.model_copy(update=kept)


def _make_private(home: Path) -> None:
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    # A folder that somebody made for us may be opened wider; one that holds other things is left as it is.
    if home.stat().st_mode & 0o077 and not any(home.iterdir()):
        home.chmod(0o700)


def _kept_secret(path: Path) -> str:
    if not path.exists():
        write_private(path, secrets.token_urlsafe(32) + "\n", replace=False)
    return path.read_text().strip()


def write_private(path: Path, text: str, *, replace: bool = True) -> None:
    """Writes a file of mode 0600 in one step; with ``replace=False`` the first writer wins."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    try:
        with open(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            draft.replace(path)
        elif not path.exists():
            _link_unless_there(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def _link_unless_there(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return
