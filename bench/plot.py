"""`python plot.py results.json FOLDER`: one SVG per figure, with a bar for each row."""

import json
import statistics
import sys
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams.update({"svg.hashsalt": "usher", "font.family": "sans-serif", "font.size": 9, "axes.spines.top": False,
                     "axes.spines.right": False, "axes.spines.left": False})  # fmt: skip
from matplotlib import pyplot  # noqa: E402 - after the choice of the backend

OURS, OTHERS = "#0b62c4", "#b7c2cf"


def draw(rows: dict[str, dict[str, list[float]]], units: dict[str, str], path: Path) -> None:
    """Draw the first column of a figure: its median, and the least and the most as a thin line."""
    column = next(iter(next(iter(rows.values()))))
    names = [name for name in rows if column in rows[name]][::-1]
    values = [rows[name][column] for name in names]
    middle = [statistics.median(one) for one in values]
    figure, axes = pyplot.subplots(figsize=(7.2, 0.5 + 0.36 * len(names)), layout="constrained")
    axes.barh(names, middle, color=[OURS if name.startswith("Usher") else OTHERS for name in names], height=0.62)
    axes.hlines(names, [min(one) for one in values], [max(one) for one in values], color="#1c2430", linewidth=1)
    for name, value in zip(names, middle, strict=True):
        says = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
        axes.annotate(says, (max(rows[name][column]), name), xytext=(6, 0), textcoords="offset points", va="center")
    axes.tick_params(left=False)
    axes.set_xlabel(f"{column} ({units[column]})")
    axes.margins(x=0.12)
    figure.savefig(path, metadata={"Date": None})
    pyplot.close(figure)


def main(results: Path, folder: Path) -> None:
    """Draw every figure."""
    folder.mkdir(exist_ok=True)
    for name, about in json.loads(results.read_text()).items():
        draw(about["rows"], about["units"], folder / f"{name}.svg")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
