"""The demo: a temporary Usher, and a burst of moves that becomes one deploy per server."""

from usher.cli.screen import console
from usher.demo.play import figures, play
from usher.demo.screen import display, show_figures
from usher.demo.stage import temporary_usher
from usher.runtime.signals import interrupts

__all__ = ["run"]

INTERRUPTED = 130


def run() -> int:
    """Run the demo in this terminal. Returns the exit code: 0 only if there was one deploy per server.

    Ctrl-C, SIGTERM and SIGHUP end it early. It leaves nothing behind in any case. Raises UsherError if it cannot start.
    """
    screen = console()
    say = screen.print
    with interrupts():
        try:
            with temporary_usher(lambda line: say(line, style="dim", soft_wrap=True)) as settings:
                with display(screen) as shown:
                    for moment in play(settings):
                        shown.show(moment)
                found = figures(settings)
            show_figures(screen, found)
        except KeyboardInterrupt:
            # the first console may have been interrupted while it printed, and then only collects what it is given
            console().print("Stopped; nothing is left behind.")
            return INTERRUPTED
    return 0 if found.as_expected else 1
