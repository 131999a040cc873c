"""Every figure, by name."""

from figures import accept, journal, senders, small
from harness import Figure

FIGURES: dict[str, Figure] = {
    figure.name: figure for figure in (accept.FIGURE, journal.FIGURE, senders.FIGURE, small.FIGURE)
}
