"""`usher up`: runs Usher on this machine."""

import typer


def up() -> None:
    """Run Usher on this machine: the three services, and a broker if none is configured. Ctrl-C stops everything.

    \b
    Examples:
      usher up
      USHER_CONFIG=/etc/usher.toml usher up
      USHER_TRACKERS__PORT=9001 usher up
    """
    from usher.settings import load
    from usher.up import run

    raise typer.Exit(run(load()))
