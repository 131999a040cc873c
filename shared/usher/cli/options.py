"""Options and arguments that several commands share: `--json`, and words that name servers and issues, in any case."""

from collections.abc import Iterable
from typing import Annotated

import typer

from usher.core.errors import BadCommand, BadIssue, UnknownServer
from usher.core.issues import Issue
from usher.core.servers import Servers

Json = Annotated[bool, typer.Option("--json", help="Print only JSON, with times in UTC.")]
Reason = Annotated[str, typer.Option("--reason", help="Your reason. It is kept with the order.", metavar="TEXT")]


def issue_of(word: str) -> str | None:
    """The issue that a word names: `shop-12` is SHOP-12. None if it names none."""
    try:
        return str(Issue.parse(word.strip().upper())) if word.isascii() else None
    except BadIssue:
        return None


def issue_option(word: str) -> str:
    """Parse an option that names an issue. Raises BadParameter."""
    issue = issue_of(word)
    if issue is None:
        raise typer.BadParameter(f"{ascii(word)[:80]} is not an issue; it should look like ABC-123")
    return issue


def names_server(word: str, servers: Servers) -> bool:
    """Whether a word is the name of a server."""
    try:
        servers.named(word)
    except UnknownServer:
        return False
    return True


def servers_and_issues(words: Iterable[str], servers: Servers) -> tuple[str | None, list[str]]:
    """Sort words into a server, if one is named, and issues. Raises BadCommand."""
    keys: list[str] = []
    named: set[str] = set()
    for word in words:
        try:
            named.add(servers.named(word).name)
        except UnknownServer as unknown:
            issue = issue_of(word)
            if issue is None:
                neither = f"{ascii(word)[:80]} is neither an issue, like ABC-111, nor a server"
                raise BadCommand(why=f"{neither}; known: {unknown.facts['known']}") from None
            keys.append(issue)
    if len(named) > 1:
        raise BadCommand(why=f"name one server at a time, not {' and '.join(sorted(named))}")
    return next(iter(named), None), keys
