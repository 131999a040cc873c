"""Writes `results.json`, and from it `RESULTS.md` and the plots."""

import json
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

import machine
from harness import Column, Figure, Results, shown
from usher.runtime.wording import count

HERE = Path(__file__).parent
KEPT = HERE / "results.json"
HEAD = """# Results

`make bench` writes this page. Compare figures only within one table: a machine that does other things meanwhile, or
another machine, gives other times. Ratios are more stable than times. Every value is the median of the rounds.
"""


def record(figure: Figure, results: Results) -> None:
    """Keep the results of a figure, in place of earlier ones."""
    kept = _kept()
    kept[figure.name] = {
        "at": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": machine.facts(),
        "units": {column.name: column.unit for column in figure.columns},
        "against": figure.against,
        "rows": results.rows,
    }
    KEPT.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def write(figures: Iterable[Figure]) -> None:
    """Write RESULTS.md and the plots from all kept results."""
    kept, parts = _kept(), [HEAD]
    for figure in figures:
        if figure.name in kept:
            about = kept[figure.name]
            parts.append(_section(figure, Results(about["rows"]), about["at"], about["machine"]))
    parts.append((HERE / "changes.md").read_text())
    (HERE / "RESULTS.md").write_text("\n".join(parts))
    subprocess.run([HERE.parent / ".bench" / "bin" / "python", HERE / "plot.py", KEPT, HERE / "plots"], check=True)


def _kept() -> dict[str, dict]:
    return json.loads(KEPT.read_text()) if KEPT.exists() else {}


def _section(figure: Figure, results: Results, at: str, facts: dict[str, str]) -> str:
    columns = [column for column in figure.columns if any(column.name in row for row in results.rows.values())]
    names = [figure.against, *(column.name for column in columns)]
    ratio = next((column for column in columns if column.name == figure.ratio), None)
    if ratio:
        names.insert(names.index(ratio.name) + 1, "ratio")
    lines = ["| " + " | ".join(names) + " |", "|" + "---|" + "--:|" * (len(names) - 1)]
    first = next(iter(results.rows))
    for row in results.rows:
        cells = [row]
        for column in columns:
            cells.append(_cell(column, results.median(row, column.name)))
            if column is ratio:
                cells.append(_ratio(results.median(row, column.name), results.median(first, column.name)))
        lines.append("| " + " | ".join(cells) + " |")
    rounds = max(len(values) for row in results.rows.values() for values in row.values())
    measured = count(rounds, "round")
    on = "; ".join(f"{name} {fact}" for name, fact in facts.items())
    plot = f"\n![{figure.title}](plots/{figure.name}.svg)\n" if (HERE / "plots" / f"{figure.name}.svg").exists() else ""
    table = "\n".join(lines)
    return f"## {figure.title}\n\n{figure.about}\n\n{table}\n{plot}\n{at}, {measured}. {on}.\n"


def _cell(column: Column, value: float | None) -> str:
    return "" if value is None else shown(column, value)


def _ratio(value: float | None, of: float | None) -> str:
    return f"{value / of:.2f}" if value is not None and of else ""
