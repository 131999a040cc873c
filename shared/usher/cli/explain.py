"""`usher explain`: shows what a move would do."""

from typing import Annotated

import typer

from usher.cli import explanation
from usher.cli.options import Json, issue_of
from usher.cli.screen import console, print_json
from usher.core.errors import SettingsError
from usher.settings import load
from usher.settings.load import EXAMPLE, FILE


def explain(
    issue: Annotated[str, typer.Argument(help="For example ABC-111.", metavar="ISSUE")],
    status: Annotated[str, typer.Argument(help="For example beta, or Jira's name or id for it.", metavar="STATUS")],
    as_json: Json = False,
) -> None:
    """Show what a move would do: issue, status, server, command. Uses only the settings; nothing is sent.

    If the move would be ignored, shows the setting that would accept it, and exits with 1.

    \b
    Examples:
      usher explain ABC-111 beta
      usher explain ABC-111 "Ready for Beta"
    """
    settings = load()
    issue = issue_of(issue) or issue
    found = explanation.explain(issue, status, settings)
    fault = found.fault
    warning = explanation.warning(settings) if found.command else None
    if as_json:
        print_json(
            {
                "issue": issue,
                "status": status,
                "server": found.server.name if found.server else None,
                "command": found.command,
                "rehearsed": settings.deploys.rehearses,
                "warning": warning,
                "steps": [
                    {"step": step.name, "ok": step.ok, "says": step.says, "fix": step.fix} for step in found.steps
                ],
            }
        )
        raise typer.Exit(1 if fault else 0)
    screen = console()
    for step in found.steps:
        if step.ok:
            screen.print(f"{step.name:>8}  {step.says}", soft_wrap=True)
    if warning:
        screen.print(warning, style="yellow", soft_wrap=True)
    if fault is None:
        return
    where = settings.source if settings.source != EXAMPLE else f"{FILE} (`usher init` writes one)"
    fix = f"\nTo change that, in {where}:\n\n{fault.fix}" if fault.fix else ""
    raise SettingsError(why=fault.says + fix)
