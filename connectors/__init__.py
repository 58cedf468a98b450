"""Channels, a folder each. A channel is its folder plus one line here."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType

from conversations.errors import FoyerError

CHANNELS = {
    "webchat": "connectors.webchat",
}
"""Name of each channel and the package that serves it."""


class UnknownChannel(FoyerError):
    """The configuration names a channel that does not exist."""

    code = "unknown_channel"


def check_names(names: Iterable[str] = CHANNELS) -> None:
    """Holds names against the registry and each registered package against its folder, at start.

    Raises:
        UnknownChannel: a name is not registered, or its package cannot be imported.
    """
    for name in names:
        load(name)


def load(name: str) -> ModuleType:
    """The package of a channel. Raises UnknownChannel."""
    if name not in CHANNELS:
        raise UnknownChannel(f"there is no channel {name!r}; there are: {', '.join(sorted(CHANNELS))}")
    try:
        return import_module(CHANNELS[name])
    except ModuleNotFoundError as error:
        raise UnknownChannel(f"channel {name!r} is registered, but {CHANNELS[name]} is not there") from error
