"""Tables that fit the terminal and lose nothing."""

from collections.abc import Iterable, Sequence
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.table import Table

from usher.runtime.wording import harmless

WHOLE = ("Deploy", "ID", "Issue", "Outcome", "Server", "State", "Took")
"""Columns that are never wrapped, because people search for their cells or copy them."""

LONGEST_WORD = 20
"""Words up to this length are kept whole in every column."""

GAP = 2
"""The number of spaces between columns."""


class _Table(Table):
    """A table that fits the terminal. Cells wrap between words; only on a very narrow terminal, words are broken."""

    def __init__(self, columns: Sequence[str]) -> None:
        super().__init__(box=None, pad_edge=False, header_style="bold")
        self._least, self._most = [0] * len(columns), [0] * len(columns)
        for column in columns:
            self.add_column(column, overflow="fold", no_wrap=column in WHOLE)
        self._measure(columns)

    def add_row(self, *cells: RenderableType | None, **options: Any) -> None:
        super().add_row(*cells, **options)
        self._measure([harmless(str(cell or "")) for cell in cells])

    def _measure(self, texts: Iterable[str]) -> None:
        for n, text in enumerate(texts):
            longest = max(map(cell_len, text.split("\n")), default=0)
            word = min(max(map(cell_len, text.split()), default=0), LONGEST_WORD)
            self._least[n] = max(self._least[n], longest if self.columns[n].no_wrap else word)
            self._most[n] = max(self._most[n], longest)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - GAP * (len(self.columns) - 1)
        for column, width in zip(self.columns, _shared(room, self._least, self._most), strict=True):
            column.width, column.no_wrap = width, column.no_wrap and width is not None
        yield from super().__rich_console__(console, options)


def _shared(room: int, least: Sequence[int], most: Sequence[int]) -> Sequence[int | None]:
    """The width of each column: what it needs at least, and its share of the rest. None if there is no room for that.

    Columns that need little more are served first.
    """
    if sum(least) > room:
        return [None] * len(least)
    widths, spare = list(least), room - sum(least)
    waiting = sorted(range(len(least)), key=lambda n: most[n] - least[n])
    for served, n in enumerate(waiting):
        more = min(most[n] - least[n], spare // (len(waiting) - served))
        widths[n], spare = widths[n] + more, spare - more
    return widths


def table(*columns: str) -> Table:
    """A table without borders. Cells are plain text, and wrap instead of being truncated."""
    return _Table(columns)
