"""The action server of the test assistant: plain HTTP, and as ill-behaved as a test asks."""

from __future__ import annotations

from typing import Any

from aiohttp import web

REPLIES = web.AppKey("replies", dict)
CALLS = web.AppKey("calls", list)


def _say(text: str | None = None, custom: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"text": text, "buttons": [], "elements": [], "custom": custom or {}}


def _book(body: dict[str, Any]) -> dict[str, Any]:
    slots = body["tracker"]["slots"]
    responses = [
        _say(
            f"Booked for {slots['model']}.",
            {"foyer": {"effects": [{"kind": "book", "model": slots["model"]}]}},
        )
    ]
    cleared = [
        {"event": "slot", "name": name, "value": None} for name in ("model", "day", "wait_here", "remark")
    ]
    return {"events": [*cleared, {"event": "slot", "name": "asked", "value": 1}], "responses": responses}


def _cancel(body: dict[str, Any]) -> dict[str, Any]:
    regular = body["tracker"]["slots"].get("plate") == "AB123"
    return {"events": [{"event": "slot", "name": "regular", "value": regular}], "responses": []}


def _car_ready(body: dict[str, Any]) -> dict[str, Any]:
    plate = body["tracker"]["slots"].get("plate")
    lookup = {"action": "action_car_ready", "asked": {"plate": plate}, "ok": True, "result": {"ready": True}}
    asked = (body["tracker"]["slots"].get("asked") or 0) + 1
    return {
        "events": [{"event": "slot", "name": "asked", "value": asked}],
        "responses": [_say("It is ready.", {"foyer": {"lookups": [lookup]}})],
    }


def _human(body: dict[str, Any]) -> dict[str, Any]:
    handoff = {"reason": "customer_asked", "note": body["tracker"]["latest_message"]["metadata"]["turn"]}
    return {"events": [], "responses": [_say(None, {"foyer": {"handoff": handoff}})]}


def _report(body: dict[str, Any]) -> dict[str, Any]:
    cleared = [{"event": "slot", "name": name, "value": None} for name in ("fault", "drives")]
    return {"events": cleared, "responses": []}


def _validate(body: dict[str, Any]) -> dict[str, Any]:
    return {"events": [], "responses": []}


ACTIONS = {
    "action_book": _book,
    "action_cancel": _cancel,
    "action_car_ready": _car_ready,
    "action_human": _human,
    "action_report": _report,
    "validate_service_form": _validate,
}


def run_action(body: dict[str, Any]) -> dict[str, Any]:
    """Return an action's reply to Rasa's call."""
    return ACTIONS[body["next_action"]](body)


async def _webhook(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    request.app[CALLS].append(body)
    name = body["next_action"]
    how = request.app[REPLIES].get(name)
    if how is not None:
        answer: web.StreamResponse = await how(body)
        return answer
    if name not in ACTIONS:
        return web.json_response({"error": "no such action", "action_name": name}, status=404)
    return web.json_response(run_action(body))


def make_workshop() -> web.Application:
    """Return the server; `app[REPLIES][action]` may hold a coroutine function that answers in the action's stead."""
    app = web.Application(client_max_size=2**24)
    app[REPLIES] = {}
    app[CALLS] = []
    app.router.add_post("/webhook", _webhook)
    return app


if __name__ == "__main__":
    import sys

    web.run_app(make_workshop(), host="127.0.0.1", port=int(sys.argv[1]), print=None)
