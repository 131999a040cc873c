"""Every figure, by name."""

from figures import accept, backlog, journal, ledger, senders, servers, small, soak, storm, windows
from harness import Figure

MODULES = (accept, windows, storm, servers, backlog, ledger, journal, senders, small, soak)
FIGURES: dict[str, Figure] = {module.FIGURE.name: module.FIGURE for module in MODULES}
