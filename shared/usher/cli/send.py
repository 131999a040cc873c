"""`usher send`: reports moves by hand."""

from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli.options import Json, issue_of, names_server
from usher.cli.screen import console, print_json
from usher.core.commands import parse_form
from usher.core.errors import BadCommand, BadIssue, ServiceError, UnknownServer
from usher.core.messages import BackMessage
from usher.settings import Settings, load

FORMS = """\
Use one of these forms:
  usher send ABC-111 beta                        one issue, to a status
  usher send abc beta 111 113                    project, status, numbers
  usher send beta.abc.wwts.com ABC-111 ABC-113   server, issues"""


def send(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            help="ISSUE STATUS, or SERVER ISSUE…, or PROJECT STATUS NUMBER….",
            metavar="WORDS...",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Report a move by hand, as Jira's webhook would. Returns once the broker has confirmed it.

    \b
    Examples:
      usher send ABC-111 beta                            one issue, to a status
      usher send abc beta 111 113                        project, status, numbers
      usher send beta.abc.wwts.com ABC-111 ABC-113       server, issues
    """
    if not words:
        raise typer.BadParameter(f"nothing to send\n{FORMS}", param_hint="WORDS")
    settings = load()
    moves = _moves(words, settings)
    sent: list[BackMessage] = []
    with Client(settings) as client:
        for issue, status in moves:
            try:
                sent.append(client.send(issue, status))
            except ServiceError as fault:
                before = f" (already sent: {', '.join(str(one.issue) for one in sent)})" if sent else ""
                raise ServiceError(why=f"{issue} was not sent{before}: {fault}") from None
    if as_json:
        print_json(sent)
        return
    screen = console()
    for message in sent:
        screen.print(f"{message.issue} is pending for {message.server}   (message {message.id})")
    screen.print(f"Next: `usher show {sent[0].server}` shows when it deploys.", style="dim")


def _moves(words: list[str], settings: Settings) -> list[tuple[str, str]]:
    """The issues to report, each with its status."""
    first, *rest = words
    if len(rest) == 1 and not names_server(first, settings.catalogue) and (issue := issue_of(first)):
        return [(issue, rest[0])]
    try:
        server, issues = parse_form([first, *(issue_of(word) or word for word in rest)], settings.catalogue)
    except (BadCommand, BadIssue, UnknownServer) as bad:
        raise BadCommand(why=f"{bad}\n{FORMS}") from None
    return [(str(issue), server.status) for issue in issues]
