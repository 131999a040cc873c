"""`usher send`, which tells moves by hand, and `usher explain`, which says what they would do."""

from typing import Annotated

import typer

from usher.cli import explain as explaining
from usher.cli.screen import console, print_json
from usher.client import Client
from usher.commands import parse_form
from usher.errors import BadCommand, BadIssue, ServiceError, SettingsError, UnknownServer
from usher.issues import Issue
from usher.messages import BackMessage
from usher.settings import Settings, load
from usher.settings.load import EXAMPLE, FILE

Json = Annotated[bool, typer.Option("--json", help="Print JSON, times in UTC, and nothing else.")]


FORMS = """\
It is one of:
  usher send ABC-111 beta                        one issue, to a status
  usher send abc beta 111 113                    project, status, numbers
  usher send beta.abc.wwts.com ABC-111 ABC-113   server, issues"""


def send(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="ISSUE STATUS, or a deploy command's own arguments.", metavar="WORDS...", show_default=False
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell a move by hand, as Jira's webhook would. The answer comes once the broker has it for sure.

    \b
    Examples:
      usher send ABC-111 beta                            one issue, to a status
      usher send abc beta 111 113                        project, status, numbers
      usher send beta.abc.wwts.com ABC-111 ABC-113       server, issues
    """
    if not words:
        raise typer.BadParameter(f"it does not say what to send\n{FORMS}", param_hint="WORDS")
    settings = load()
    moves = _moves(words, settings)
    told: list[BackMessage] = []
    with Client(settings) as client:
        for issue, status in moves:
            try:
                told.append(client.send(issue, status))
            except ServiceError as fault:
                before = f" (sent before it: {', '.join(str(one.issue) for one in told)})" if told else ""
                raise ServiceError(why=f"{issue} is not sent{before}: {fault}") from None
    if as_json:
        print_json(told)
        return
    screen = console()
    for message in told:
        screen.print(f"{message.issue} waits for {message.server}   (message {message.id})")
    screen.print(f"Next: `usher show {told[0].server}` says when it deploys.", style="dim")


def _moves(words: list[str], settings: Settings) -> list[tuple[str, str]]:
    """The issues to tell, each with its status."""
    if len(words) == 2 and is_issue(words[0]):
        return [(words[0], words[1])]
    try:
        server, issues = parse_form(words, settings.catalogue)
    except (BadCommand, BadIssue, UnknownServer) as bad:
        raise BadCommand(why=f"{bad}\n{FORMS}") from None
    return [(str(issue), server.status) for issue in issues]


def is_issue(word: str) -> bool:
    """Whether a word is an issue's key."""
    try:
        Issue.parse(word)
    except BadIssue:
        return False
    return True


def explain(
    issue: Annotated[str, typer.Argument(help="Like ABC-111.", metavar="ISSUE")],
    status: Annotated[str, typer.Argument(help="Like beta, or what Jira calls it.", metavar="STATUS")],
    as_json: Json = False,
) -> None:
    """Say what a move would do: issue, status, server, command. By the settings alone; nothing is sent.

    When it would do nothing, it says which line in the settings would change that; the exit code is then 1.

    \b
    Examples:
      usher explain ABC-111 beta
      usher explain ABC-111 "Ready for Beta"
    """
    settings = load()
    found = explaining.explain(issue, status, settings)
    fault = found.fault
    warning = explaining.warning(settings) if found.command else None
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
                    {"step": step.name, "ok": step.ok, "says": step.says, "mend": step.mend} for step in found.steps
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
    mend = f"\nTo change that, in {where}:\n\n{fault.mend}" if fault.mend else ""
    raise SettingsError(why=fault.says + mend)
