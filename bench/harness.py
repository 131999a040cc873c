"""Figures: what is measured, in rounds. Each round measures every row once, so that its rows are comparable."""

import statistics
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

Values = Mapping[str, float]
"""What one measurement of a row found, by column."""


@dataclass(frozen=True)
class Column:
    """A quantity, with its unit and the number of digits after the point."""

    name: str
    unit: str = ""
    digits: int = 0


@dataclass
class Bench:
    """What a measurement may use: an empty folder, and the options of the command line.

    `smoke` asks for small sizes, which show only that the figure works. `say` reports the progress of a long one.
    """

    folder: Path
    seconds: float = 10.0
    minutes: float = 30.0
    smoke: bool = False
    say: Callable[[str], None] = print


@dataclass(frozen=True)
class Figure:
    """A table of measurements. `measure` measures each row once, and yields its name with the values.

    `ratio` names the column whose values are also shown as a fraction of the first row's. If the rows are numbers,
    `against` says of what, and the plot shows each column against them. A figure that takes very `long` is measured
    only if it is named.
    """

    name: str
    title: str
    about: str
    columns: tuple[Column, ...]
    measure: Callable[[Bench], Iterator[tuple[str, Values]]]
    ratio: str | None = None
    rounds: int = 3
    against: str = ""
    long: bool = False


@dataclass
class Results:
    """The values of a figure's rows: for each column, one value per round."""

    rows: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, row: str, values: Values) -> None:
        """Add what one measurement found."""
        for column, value in values.items():
            self.rows.setdefault(row, {}).setdefault(column, []).append(value)

    def median(self, row: str, column: str) -> float | None:
        """The median over the rounds; None if nothing was measured."""
        values = self.rows.get(row, {}).get(column)
        return statistics.median(values) if values else None


def run(figure: Figure, rounds: int, bench: Bench) -> Results:
    """Measure a figure in that many rounds, and report each measurement as it ends."""
    results = Results()
    for number in range(1, rounds + 1):
        say = _saying(bench, f"{figure.name} {number}/{rounds}")
        with tempfile.TemporaryDirectory(prefix="usher-bench-", dir=bench.folder) as folder:
            for row, values in figure.measure(replace(bench, folder=Path(folder), say=say)):
                results.add(row, values)
                found = "   ".join(
                    shown(column, values[column.name]) for column in figure.columns if column.name in values
                )
                say(f"{row:<36} {found}")
    return results


def _saying(bench: Bench, where: str) -> Callable[[str], None]:
    return lambda line: bench.say(f"{where}   {line}")


def shown(column: Column, value: float) -> str:
    """A value with its unit: `1,234 req/s`."""
    return f"{value:,.{column.digits}f}{column.unit and ' ' + column.unit}"
