"""The built pages as the front door serves them: policy, caching, refusals, and what to do when there is no build."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from aiohttp import ClientSession, web
from aiohttp.test_utils import TestClient, TestServer

from frontdoor import static

SCRIPT = "console.log('desk')\n" * 40
Client = TestClient[web.Request, web.Application]


@pytest.fixture
def dist(tmp_path: Path) -> Path:
    """A small build, and a secret beside it."""
    folder = tmp_path / "dist"
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>Desk</title>")
    (folder / "widget.js").write_text("/* widget */")
    (folder / "assets" / "index-abc123.js").write_text(SCRIPT)
    (folder / "assets" / "icon.svg").write_text("<svg/>")
    (folder / ".stamp").write_text("{}")
    (tmp_path / "secret.key").write_text("do not tell")
    return folder


@pytest.fixture
async def client(dist: Path) -> AsyncIterator[Client]:
    app = web.Application()
    static.setup(app, static.Shelf(dist))
    async with TestClient(TestServer(app), auto_decompress=False) as opened:
        yield opened


async def test_the_desk_is_served_under_a_strict_policy(client: Client) -> None:
    response = await client.get("/desk/")
    policy = dict(part.split(" ", 1) for part in response.headers["Content-Security-Policy"].split("; "))
    assert response.status == 200
    assert response.headers["Content-Type"] == "text/html; charset=utf-8"
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["require-trusted-types-for"] == "'script'"
    assert "unsafe" not in response.headers["Content-Security-Policy"]
    assert response.headers["Cross-Origin-Opener-Policy"] == "same-origin"


async def test_the_page_is_asked_for_anew_each_time_and_assets_never_again(client: Client) -> None:
    page = await client.get("/desk/")
    script = await client.get("/desk/assets/index-abc123.js")
    assert page.headers["Cache-Control"] == "no-cache"
    assert "immutable" in script.headers["Cache-Control"]
    assert script.headers["Content-Type"] == "text/javascript; charset=utf-8"
    icon = await client.get("/desk/assets/icon.svg")
    assert icon.headers["Content-Type"] == "image/svg+xml"


async def test_who_has_it_is_told_so(client: Client) -> None:
    first = await client.get("/desk/")
    second = await client.get("/desk/", headers={"If-None-Match": first.headers["ETag"]})
    other = await client.get("/desk/", headers={"If-None-Match": '"something-else"'})
    assert (second.status, await second.read()) == (304, b"")
    assert other.status == 200


async def test_a_new_build_is_served_at_once(client: Client, dist: Path) -> None:
    first = await client.get("/desk/")
    (dist / "index.html").write_text("<!doctype html><title>Another desk</title>")
    second = await client.get("/desk/", headers={"If-None-Match": first.headers["ETag"]})
    assert second.status == 200
    assert b"Another" in gzip.decompress(await second.read())


async def test_what_compresses_is_compressed_for_who_takes_it(client: Client) -> None:
    path = "/desk/assets/index-abc123.js"
    plain = await client.get(path, headers={"Accept-Encoding": "identity"})
    small = await client.get(path, headers={"Accept-Encoding": "gzip"})
    assert await plain.text() == SCRIPT
    assert small.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(await small.read()).decode() == SCRIPT
    assert small.headers["Vary"] == plain.headers["Vary"] == "Accept-Encoding"


async def test_the_widget_may_be_loaded_by_other_sites(client: Client) -> None:
    response = await client.get("/chat/widget.js")
    assert response.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert response.headers["Access-Control-Allow-Origin"] == "*"
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


async def test_head_is_answered(client: Client) -> None:
    response = await client.head("/desk/")
    assert (response.status, await response.read()) == (200, b"")


async def test_without_a_slash_the_desk_is_pointed_to(client: Client) -> None:
    response = await client.get("/desk", allow_redirects=False)
    assert (response.status, response.headers["Location"]) == (308, "/desk/")


@pytest.mark.parametrize(
    "path",
    [
        "/desk/assets/../../secret.key",
        "/desk/assets/..%2f..%2fsecret.key",
        "/desk/assets/%2e%2e/%2e%2e/secret.key",
        "/desk/assets/..%5c..%5csecret.key",
        "/desk/assets/.stamp",
        "/desk/assets/index-abc123.js%00.svg",
        "/desk/assets/",
        "/desk/assets/none.js",
        "/desk/assets/" + "a" * 5000,
        "/desk/.stamp",
        "/desk/index.html.map",
    ],
)
async def test_nothing_leads_out_of_the_build(client: Client, path: str) -> None:
    # As written: an ordinary client would tidy the path up before it asks.
    reader, writer = await _connect(client)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    assert answer.split(b" ", 2)[1] in (b"404", b"400")
    assert b"do not tell" not in answer


async def _connect(client: Client) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection(client.host, client.port)


async def test_without_a_build_the_page_says_what_to_run(tmp_path: Path) -> None:
    app = web.Application()
    static.setup(app, static.Shelf(tmp_path / "nothing"))
    async with TestServer(app) as server, ClientSession() as session:
        async with session.get(server.make_url("/desk/")) as response:
            assert response.status == 503
            assert response.headers["Cache-Control"] == "no-store"
            assert "./foyer up" in await response.text()
        async with session.get(server.make_url("/chat/widget.js")) as response:
            assert response.status == 404
