"""`python plot.py results.json FOLDER`: one SVG per figure, with a bar for each row, or a line for each column."""

import json
import statistics
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "usher", "font.family": "sans-serif", "font.size": 9, "axes.spines.top": False,
                     "axes.spines.right": False, "axes.spines.left": False})  # fmt: skip
from matplotlib import pyplot  # noqa: E402 - after the choice of the backend

OURS, OTHERS, RANGE = "#0b62c4", "#b7c2cf", "#1c2430"
PANELS = 4
"""How many lines are side by side."""

Rows = dict[str, dict[str, list[float]]]


def draw_bars(rows: Rows, units: dict[str, str], path: Path) -> None:
    """Draw the first column of a figure: its median, and the least and the most as a thin line."""
    column = next(iter(next(iter(rows.values()))))
    names = [name for name in rows if column in rows[name]][::-1]
    values = [rows[name][column] for name in names]
    middle = [statistics.median(one) for one in values]
    figure, axes = pyplot.subplots(figsize=(7.2, 0.5 + 0.36 * len(names)), layout="constrained")
    axes.barh(names, middle, color=[OURS if name.startswith("Usher") else OTHERS for name in names], height=0.62)
    axes.hlines(names, [min(one) for one in values], [max(one) for one in values], color=RANGE, linewidth=1)
    for name, value in zip(names, middle, strict=True):
        says = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        axes.annotate(says, (max(rows[name][column]), name), xytext=(6, 0), textcoords="offset points", va="center")
    axes.tick_params(left=False)
    axes.set_xlabel(f"{column} ({units[column]})")
    axes.margins(x=0.12)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def draw_lines(rows: Rows, units: dict[str, str], against: str, path: Path) -> None:
    """Draw each column against the numbers of the rows, from zero: its medians, and the least and the most."""
    columns = [column for column in units if sum(column in row for row in rows.values()) > 1]
    lines = -(-len(columns) // PANELS)
    figure, panels = pyplot.subplots(lines, PANELS, figsize=(9.6, 2.2 * lines), layout="constrained", squeeze=False)
    for column, axes in zip(columns, panels.flat, strict=False):
        found = {float(name.replace(",", "")): row[column] for name, row in rows.items() if column in row}
        axes.plot(list(found), [statistics.median(one) for one in found.values()], color=OURS, marker="o", markersize=3)
        axes.vlines(list(found), [min(o) for o in found.values()], [max(o) for o in found.values()], color=RANGE)
        axes.set_title(f"{column} ({units[column]})", fontsize=9)
        axes.set_xlabel(against)
        axes.margins(y=0.1)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
    for axes in list(panels.flat)[len(columns) :]:
        axes.set_axis_off()
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main(results: Path, folder: Path) -> None:
    """Draw every figure."""
    folder.mkdir(exist_ok=True)
    for name, about in json.loads(results.read_text()).items():
        path = folder / f"{name}.svg"
        if against := about.get("against"):
            draw_lines(about["rows"], about["units"], against, path)
        else:
            draw_bars(about["rows"], about["units"], path)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
