"""Collects what the assistant says in a turn, and takes out what it asks of the front door beside.

The side band is a message whose custom JSON is `{"foyer": {"lookups": [...], "effects": [...], "handoff": {...}}}`.
"""

from __future__ import annotations

import logging
from typing import Any

from rasa.core.channels.channel import OutputChannel

logger = logging.getLogger(__name__)


class BadSideBand(ValueError):
    """A response or an action asks for something in a form that nobody could carry out."""


class Replies(OutputChannel):  # type: ignore[misc]
    """The output of one turn: `contents` for the customer, the rest for the front door."""

    def __init__(self) -> None:
        self.contents: list[dict[str, Any]] = []
        self.lookups: list[dict[str, Any]] = []
        self.effects: list[dict[str, Any]] = []
        self.handoff: dict[str, Any] | None = None

    @classmethod
    def name(cls) -> str:
        """Return the channel's name, by which responses may be written for it."""
        return "foyer"

    async def send_text_message(self, recipient_id: str, text: str, **kwargs: Any) -> None:
        """Take a text."""
        if text.strip():
            self.contents.append({"kind": "text", "text": text.strip()})

    async def send_text_with_buttons(
        self, recipient_id: str, text: str, buttons: list[dict[str, Any]], **kwargs: Any
    ) -> None:
        """Take a text with choices; a button without payload says its title."""
        choices = [
            {"title": str(button["title"]), "payload": str(button.get("payload") or button["title"])}
            for button in buttons
            if button.get("title")
        ]
        self.contents.append({"kind": "text", "text": (text or "").strip(), "choices": choices})

    async def send_image_url(self, recipient_id: str, image: str, **kwargs: Any) -> None:
        """Take an image as its address."""
        await self.send_text_message(recipient_id, image)

    async def send_attachment(self, recipient_id: str, attachment: Any, **kwargs: Any) -> None:
        """Take an attachment as its address."""
        if isinstance(attachment, str):
            await self.send_text_message(recipient_id, attachment)

    async def send_custom_json(self, recipient_id: str, json_message: dict[str, Any], **kwargs: Any) -> None:
        """Take what is meant for the front door. Raises `BadSideBand`."""
        side = json_message.get("foyer") if isinstance(json_message, dict) else None
        if side is None:
            logger.warning("custom JSON without the key foyer was dropped: no channel could show it")
            return
        if not isinstance(side, dict):
            raise BadSideBand("foyer is not an object")
        self.lookups += _objects(side, "lookups", "action")
        self.effects += _objects(side, "effects", "kind")
        self._take_handoff(side.get("handoff"))

    def _take_handoff(self, handoff: Any) -> None:
        """Keep the first: what came up first is why a human is needed."""
        if handoff is None:
            return
        if not isinstance(handoff, dict) or not isinstance(handoff.get("reason"), str):
            raise BadSideBand("handoff is not an object with a reason")
        if self.handoff is None:
            self.handoff = handoff


def _objects(side: dict[str, Any], key: str, required: str) -> list[dict[str, Any]]:
    items = side.get(key)
    if items is None:
        return []
    if not isinstance(items, list) or not all(
        isinstance(item, dict) and isinstance(item.get(required), str) for item in items
    ):
        raise BadSideBand(f"{key} is not a list of objects with {required}")
    return items
