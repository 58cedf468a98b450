"""One OpenAPI description of all HTTP interfaces, put together from those of the rooms."""

from __future__ import annotations

from typing import Any

from connectors.webchat import openapi as chat
from handoff import openapi as desk


def describe() -> dict[str, Any]:
    """The desk's addresses, web chat's, and the operators'."""
    whole, added = desk.describe(), chat.describe()
    whole["info"] = {
        "title": "Foyer",
        "version": "1",
        "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
    }
    whole["paths"] |= added["paths"] | _operators()
    for kind in ("schemas", "securitySchemes"):
        whole["components"][kind] |= added["components"][kind]
    return whole


def _operators() -> dict[str, Any]:
    def get(summary: str, **answers: str) -> dict[str, Any]:
        responses = {status.removeprefix("s"): {"description": text} for status, text in answers.items()}
        return {"get": {"summary": summary, "responses": responses, "security": []}}

    return {
        "/healthz": get("The process lives", s200="alive"),
        "/readyz": get("Messages can be taken", s200="ready", s503="names what is missing"),
        "/metrics": get("Metrics for Prometheus", s200="the text form", s401="needs the token, or loopback"),
    }
