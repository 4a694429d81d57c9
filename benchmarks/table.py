"""What every benchmark shares: its command line, its table, its JSON, and CPU time read from /proc."""

import argparse
import json
import os
import platform
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Outcome:
    """What a benchmark found, under names that stay the same over time."""

    name: str
    seed: int = 0
    figures: dict[str, float] = field(default_factory=dict)
    baseline: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The form in which figures are followed over time."""
        machine = {"cores": os.cpu_count(), "machine": platform.machine(), "python": platform.python_version()}
        return {"name": self.name, "machine": machine, **vars(self)}

    def show(self) -> None:
        """Print the one table."""
        rows = [("figure", "ours", "baseline")]
        names = dict.fromkeys([*self.figures, *self.baseline])
        rows += [(name, _shown(self.figures.get(name)), _shown(self.baseline.get(name))) for name in names]
        rows += [(f"ratio {name}", _shown(value), "") for name, value in self.ratios.items()]
        widths = [max(len(row[column]) for row in rows) for column in range(3)]
        for row in rows:
            print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def private_cache() -> Path:
    """A folder that is kept between measurings, for this user alone: bytecode that others put there would run."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "headway-benchmarks"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def arguments(description: str | None, *, repository: bool = False, against: bool = False) -> argparse.Namespace:
    """`--quick` and `--json FILE`, as every benchmark takes them; some take a repository, or another commit."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--quick", action="store_true", help="end in 50 s on 2 cores")
    parser.add_argument("--json", type=Path, help="write the figures there")
    if against:
        parser.add_argument("--against", metavar="COMMIT", help="measure that commit too, in turn with this one")
    if repository:
        parser.add_argument(
            "repository", nargs="?", type=Path, help="path of a repository; by default one is generated"
        )
    return parser.parse_args()


def report(outcome: Outcome, to: Path | None) -> None:
    """Print, and write where asked."""
    outcome.show()
    if to is not None:
        to.write_text(json.dumps(outcome.as_json(), indent=1) + "\n", encoding="utf-8")


def cpu_seconds(pid: int) -> float:
    """User and system time of a process with all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
