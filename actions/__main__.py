"""`python -m actions --port N`: starts the action server."""

from __future__ import annotations

import argparse
import logging
import os

DEFAULT_PORT = 5055


def main() -> None:
    """Command line of the action server. It listens on the loopback address unless told otherwise."""
    parser = argparse.ArgumentParser(prog="python -m actions", description="Starts the action server.")
    parser.add_argument(
        "--port", type=int, default=DEFAULT_PORT, help=f"port to listen on (default {DEFAULT_PORT})"
    )
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default 127.0.0.1)")
    parser.add_argument(
        "--accounts", help="address of the account database (default: FOYER_ACCOUNTS_URL, or var/)"
    )
    options = parser.parse_args()
    logging.basicConfig(
        level=os.environ.get("FOYER_LOG_LEVEL", "INFO").upper(),
        format="%(asctime)s %(levelname)s %(name)s %(message)s",
    )
    for noisy in ("rasa_sdk", "sanic", "sanic.root", "sanic.error", "sanic.server", "sqlalchemy"):
        logging.getLogger(noisy).setLevel(logging.WARNING)

    from actions.server import serve
    from actions.sql_directory import default_url

    serve(options.host, options.port, options.accounts or default_url())


if __name__ == "__main__":
    main()
