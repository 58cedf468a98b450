"""What every request passes first: who really asks, the shape of errors, security headers, counting."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address, ip_network
from typing import Any

import structlog
from aiohttp import web

from conversations.errors import StoreUnavailable
from frontdoor.metrics import Metrics
from frontdoor.settings import Settings

log = structlog.get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Middleware = Callable[[web.Request, Handler], Awaitable[web.StreamResponse]]

FORWARDING = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP")
CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    413: "too_large",
    415: "unsupported_media_type",
    422: "unprocessable",
    429: "rate_limited",
}
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


def edge_middlewares(settings: Settings, metrics: Metrics) -> Sequence[Any]:
    """Outermost first."""
    return (_counted(metrics), _peers(settings), _errors)


def error_response(status: int, code: str, message: str, **headers: str) -> web.Response:
    """An error in the protocol's shape."""
    return web.json_response({"error": {"code": code, "message": message}}, status=status, headers=headers)


def _counted(metrics: Metrics) -> Middleware:
    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        began = time.perf_counter()
        status = 500
        try:
            response = await handler(request)
            status = response.status
            return response
        finally:
            resource = request.match_info.route.resource
            route = resource.canonical if resource is not None else "unmatched"
            metrics.request_ended(route, _method(request), status, time.perf_counter() - began)

    return middleware


def _method(request: web.Request) -> str:
    """The method as a label; what a caller invents does not become one."""
    return (
        request.method if request.method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} else "OTHER"
    )


def _peers(settings: Settings) -> Middleware:
    trusted = [ip_network(network) for network in settings.trusted_proxies]

    def is_trusted(address: str | None) -> bool:
        try:
            return bool(address) and any(ip_address(address or "") in network for network in trusted)
        except ValueError:
            return False

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not trusted or not is_trusted(request.remote):
            return await handler(request)
        hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
        # From the right, the first address that is not one of our proxies is the one that they saw.
        remote = next((hop for hop in reversed(hops) if not is_trusted(hop)), request.remote or "")
        scheme = request.headers.get("X-Forwarded-Proto", request.scheme)
        return await handler(request.clone(remote=remote, scheme=scheme))

    return middleware


@web.middleware
async def _errors(request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        response = await handler(request)
    except web.HTTPException as error:
        response = _shaped(error)
    except StoreUnavailable:
        response = error_response(
            503, "unavailable", "The database cannot take this now. Try again.", **{"Retry-After": "2"}
        )
    except Exception:
        log.exception("request.broken", route=getattr(request.match_info.route.resource, "canonical", None))
        response = error_response(500, "internal", "Something broke on our side. It has been noted.")
    if not response.prepared:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
    return response


def _shaped(error: web.HTTPException) -> web.StreamResponse:
    """An exception of aiohttp's own in the protocol's shape; ours have it already."""
    if error.status < 400 or error.content_type == "application/json":
        return error
    kept = {k: v for k, v in error.headers.items() if k in ("Allow", "Retry-After", "WWW-Authenticate")}
    code = CODES.get(error.status, "error")
    return error_response(error.status, code, error.reason, **kept)


def is_local(request: web.Request) -> bool:
    """Loopback peer, loopback `Host`, no forwarding header: what local pages and defaults ask for."""
    if any(name in request.headers for name in FORWARDING):
        return False
    host = request.headers.get("Host", "").rsplit(":", 1)[0].strip("[]")
    return _is_loopback(request.remote or "") and (host == "localhost" or _is_loopback(host))


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
