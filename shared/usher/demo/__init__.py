"""The demo: a throw-away Usher, and a storm of moves that becomes one deploy per server."""

from usher.cli.screen import console
from usher.demo.play import figures, play
from usher.demo.screen import ending, face
from usher.demo.stage import throw_away_usher

__all__ = ["run"]

INTERRUPTED = 130


def run() -> int:
    """Run the demo in this terminal. Returns the exit code: 0 only if there was one deploy per server, as promised.

    Ctrl-C ends it early; nothing is left behind either way. Raises UsherError if it cannot start.
    """
    screen = console()
    say = screen.print
    try:
        with throw_away_usher(lambda line: say(line, style="dim", soft_wrap=True)) as settings:
            with face(screen) as shown:
                for moment in play(settings):
                    shown.show(moment)
            found = figures(settings)
        ending(screen, found)
    except KeyboardInterrupt:
        say("Stopped; nothing is left behind.")
        return INTERRUPTED
    return 0 if found.as_promised else 1
