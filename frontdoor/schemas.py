"""Prints the JSON Schemas of every body, frame and event: `python -m frontdoor.schemas`. Front ends make types of them."""

from __future__ import annotations

import json
from typing import Any

from connectors import webchat
from handoff import openapi


def published() -> dict[str, Any]:
    """The schemas by room and name, as `/schemas.json` shows them."""
    return {"webchat": webchat.schemas(), "desk": openapi.schemas()}


if __name__ == "__main__":
    print(json.dumps(published(), indent=1, sort_keys=True))
