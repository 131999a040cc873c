"""Every figure, by name."""

from figures import accept, journal, senders, small, windows
from harness import Figure

FIGURES: dict[str, Figure] = {
    figure.name: figure for figure in (accept.FIGURE, windows.FIGURE, journal.FIGURE, senders.FIGURE, small.FIGURE)
}
