"""An assistant of the tests' own, trained once for all runs; no network but loopback."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

os.environ.setdefault("RASA_TELEMETRY_ENABLED", "false")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("SQLALCHEMY_SILENCE_UBER_WARNING", "1")
# As when Rasa serves: at its default, structlog prints every debug message.
structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))

ROOT = Path(__file__).resolve().parents[2]
GARAGE = Path(__file__).resolve().parent / "garage"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--turns", type=int, default=400, help="how many hostile turns to compare")
    parser.addoption("--seed", type=int, default=1, help="where the hostile conversations begin")


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder with the garage's model; it is trained again only when the garage or Rasa's pins changed."""
    out = ROOT / "var" / "tests" / "garage"
    done = subprocess.run(
        [sys.executable, "-m", "bot.train", "--root", str(GARAGE), "--out", str(out)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "RASA_CACHE_DIRECTORY": str(out / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return out


@pytest.fixture(scope="session")
def model(trained: Path) -> Path:
    """Return the garage's newest model."""
    return max(trained.glob("*.tar.gz"), key=lambda path: path.stat().st_mtime)


@pytest.fixture(scope="session")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    """Return the loop that every test of this session runs its coroutines on."""
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()
