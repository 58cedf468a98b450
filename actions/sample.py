"""`python -m actions.sample`: shows a few sample customers to play with."""

from __future__ import annotations

import argparse
import asyncio
import sys

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from actions.directory import DirectoryError, SampleCustomer
from actions.sql_directory import SqlDirectory, default_url


async def read(url: str, count: int) -> list[SampleCustomer]:
    """`count` customers of the database at `url`, of many order states. Raises DirectoryError."""
    directory = SqlDirectory(url)
    try:
        return await directory.sample(count)
    finally:
        await directory.close()


def sample(url: str, count: int = 8) -> list[SampleCustomer]:
    """Like `read`, for callers without an event loop. Makes the sample accounts first where there are none."""
    return asyncio.run(read(url, count))


def table(found: list[SampleCustomer]) -> Table:
    """The customers as a table for the terminal."""
    shown = Table(title="Customers to play with", box=SIMPLE_HEAD)
    for heading in ("Name", "E-mail", "Postcode", "Order", "State"):
        shown.add_column(heading, no_wrap=heading not in ("Name", "State"))
    for one in found:
        shown.add_row(one.name, one.email, one.postcode, one.order_number, str(one.state).replace("_", " "))
    return shown


def main() -> int:
    """Command line: prints the table; 2 when the account system does not answer."""
    parser = argparse.ArgumentParser(prog="python -m actions.sample", description="Shows sample customers.")
    parser.add_argument("--count", type=int, default=8, help="how many customers (default 8)")
    parser.add_argument(
        "--accounts", help="address of the account database (default: FOYER_ACCOUNTS_URL, or var/)"
    )
    options = parser.parse_args()
    try:
        found = sample(options.accounts or default_url(), options.count)
    except DirectoryError as error:
        print(f"The account system does not answer ({error}).", file=sys.stderr)
        return 2
    Console().print(table(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
