"""`usher send`: reports moves by hand."""

from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli.options import Json, is_issue
from usher.cli.screen import console, print_json
from usher.core.commands import parse_form
from usher.core.errors import BadCommand, BadIssue, ServiceError, UnknownServer
from usher.core.messages import BackMessage
from usher.settings import Settings, load

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
