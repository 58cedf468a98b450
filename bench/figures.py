"""What every benchmark writes: figures, their budgets, the machine; as JSON and as a table, alone or beside another."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True)
class Budget:
    """A limit for a figure: at most it, or at least it."""

    limit: float
    kind: Literal["most", "least"] = "most"

    def ok(self, value: float) -> bool:
        """Say whether a figure keeps to the limit."""
        return value <= self.limit if self.kind == "most" else value >= self.limit


def machine() -> dict[str, Any]:
    """Return what the figures hang on."""
    return {
        "cpus": os.cpu_count(),
        "load": round(os.getloadavg()[0], 2),
        "system": platform.platform(),
        "processor": _processor(),
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def report(bench: str, figures: Mapping[str, float], budgets: Mapping[str, Budget]) -> dict[str, Any]:
    """Return the report of a run. Figures that a budget names but that were not measured are left out."""
    return {
        "bench": bench,
        "at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "machine": machine(),
        "figures": dict(figures),
        "budgets": {
            name: {"limit": budget.limit, "ok": budget.ok(figures[name])}
            for name, budget in budgets.items()
            if name in figures
        },
    }


def read(path: Path) -> dict[str, Any]:
    """Return an earlier report. Raises ValueError for what is none, OSError when it cannot be read."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if isinstance(found, dict) and isinstance(found.get("figures"), dict):
        return found
    raise ValueError(f"{path} is not a report of a benchmark")


def write(path: Path, found: Mapping[str, Any]) -> None:
    """Write a report as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")


def show(found: Mapping[str, Any], against: Mapping[str, Any] | None, console: Console) -> None:
    """Print a report's table; with another report its figures stand beside, with the change."""
    table = Table(
        title=f"{found['bench']} ({found['machine']['cpus']} CPUs, load {found['machine']['load']})"
    )
    table.add_column("figure")
    table.add_column("value", justify="right")
    table.add_column("budget", justify="right")
    if against is not None:
        table.add_column("before", justify="right")
        table.add_column("change", justify="right")
    for name, value in found["figures"].items():
        table.add_row(
            name, _number(value), _budget(found["budgets"].get(name)), *_beside(name, value, against)
        )
    console.print(table)


def _budget(budget: Mapping[str, Any] | None) -> str:
    if budget is None:
        return ""
    return f"{_number(budget['limit'])} {'[green]kept' if budget['ok'] else '[red]missed'}"


def _beside(name: str, value: float, against: Mapping[str, Any] | None) -> list[str]:
    if against is None:
        return []
    before = against["figures"].get(name)
    if not isinstance(before, (int, float)):
        return ["", ""]
    return [_number(before), f"{value / before - 1:+.0%}" if before else ""]


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:,.2f}"
