"""Serves the built pages: the desk, its assets, the widget's script, and further pages of the build."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
import mimetypes
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import ETag, web

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

NAME = r"[0-9A-Za-z_][0-9A-Za-z_.-]{0,127}"
"""What a file of the build may be called: no slash and no leading dot, so that nothing leads out of its folder."""

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "manifest-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types svelte-trusted-html",
    )
)
"""For the desk: nothing from elsewhere, no inline script or style, no markup made of strings."""

PAGE_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
ALWAYS_ASK = "no-cache"
FOR_EVER = "public, max-age=31536000, immutable"
A_WHILE = "public, max-age=300"
# Other sites load it, also those that isolate themselves.
WIDGET_HEADERS = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}

_COMPRESSED = frozenset({"text/html", "text/css", "text/javascript", "image/svg+xml", "application/json"})

MISSING = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Not built yet</title>
<h1>These pages are not built yet</h1>
<p>Stop this server and run <code>./foyer up</code>: it builds them and starts everything.
In an installed wheel they should have been packed: build the wheel again after <code>./foyer up</code>.</p>
</html>
"""


@dataclass(frozen=True, slots=True)
class File:
    """A file of the build, ready to be sent."""

    version: tuple[int, int]
    body: bytes
    compressed: bytes | None
    type: str
    etag: str


@dataclass(slots=True)
class Shelf:
    """The files of one build, read when first asked for and again when they changed."""

    dist: Path
    _files: dict[str, File] = field(default_factory=dict)

    async def find(self, name: str) -> File | None:
        """The file of this name (`index.html`, `assets/x.js`); None when the build has none."""
        return await asyncio.to_thread(self._find, name)

    def _find(self, name: str) -> File | None:
        path = self.dist / name
        try:
            stat = path.stat()
            version = (stat.st_mtime_ns, stat.st_size)
            known = self._files.get(name)
            if known is None or known.version != version:
                known = self._files[name] = _read(path, version)
        except OSError:
            return None
        return known


def _read(path: Path, version: tuple[int, int]) -> File:
    body = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    kind = {"application/javascript": "text/javascript"}.get(kind, kind)
    compressed = gzip.compress(body, 9, mtime=0) if kind in _COMPRESSED else None
    return File(version, body, compressed, kind, hashlib.blake2b(body, digest_size=12).hexdigest())


def setup(app: web.Application, shelf: Shelf) -> None:
    """Adds the addresses of the desk's page and of the widget's script."""
    app.router.add_get("/desk", _to_the_desk)
    app.router.add_get("/desk/", page(shelf, "index.html"))
    app.router.add_get(f"/desk/assets/{{name:{NAME}}}", _asset(shelf))
    app.router.add_get("/chat/widget.js", _widget(shelf))


def page(shelf: Shelf, name: str, headers: Mapping[str, str] = PAGE_HEADERS) -> Handler:
    """A handler that shows the page `name` of the build; before there is a build, what to do about it."""

    async def handle(request: web.Request) -> web.StreamResponse:
        found = await shelf.find(name)
        if found is None:
            return web.Response(
                text=MISSING, status=503, content_type="text/html", headers={"Cache-Control": "no-store"}
            )
        return answer(request, found, {"Cache-Control": ALWAYS_ASK, **headers})

    return handle


def answer(request: web.Request, file: File, headers: Mapping[str, str]) -> web.Response:
    """The file, compressed where the client takes it, or 304 where it has it."""
    kept = {**headers, "Vary": "Accept-Encoding"}
    if any(etag.value in ("*", file.etag) for etag in request.if_none_match or ()):
        response = web.Response(status=304, headers=kept)
    elif file.compressed is not None and "gzip" in request.headers.get("Accept-Encoding", ""):
        response = web.Response(body=file.compressed, headers={**kept, "Content-Encoding": "gzip"})
    else:
        response = web.Response(body=file.body, headers=kept)
    response.content_type = file.type
    if file.type.startswith("text/"):
        response.charset = "utf-8"
    response.etag = ETag(file.etag, is_weak=True)
    return response


async def _to_the_desk(_: web.Request) -> web.StreamResponse:
    return web.Response(status=308, headers={"Location": "/desk/"})


def _asset(shelf: Shelf) -> Handler:
    """Their names hold a hash of their content: what was loaded once stays right."""

    async def handle(request: web.Request) -> web.StreamResponse:
        found = await shelf.find(f"assets/{request.match_info['name']}")
        if found is None:
            raise web.HTTPNotFound
        return answer(request, found, {"Cache-Control": FOR_EVER})

    return handle


def _widget(shelf: Shelf) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        found = await shelf.find("widget.js")
        if found is None:
            raise web.HTTPNotFound
        return answer(request, found, {"Cache-Control": A_WHILE, **WIDGET_HEADERS})

    return handle
