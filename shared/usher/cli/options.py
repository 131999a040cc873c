"""Options and arguments that several commands share: `--json`, and words that name servers and issues."""

from collections.abc import Iterable
from typing import Annotated

import typer

from usher.core.errors import BadCommand, BadIssue, UnknownServer
from usher.core.issues import Issue
from usher.core.servers import Servers

Json = Annotated[bool, typer.Option("--json", help="Print only JSON, with times in UTC.")]
Reason = Annotated[str, typer.Option("--reason", help="Your reason. It is kept with the order.", metavar="TEXT")]


def is_issue(word: str) -> bool:
    """Whether a word is an issue key."""
    try:
        Issue.parse(word)
    except BadIssue:
        return False
    return True


def servers_and_issues(words: Iterable[str], servers: Servers) -> tuple[str | None, list[str]]:
    """Sort words into a server, if one is named, and issues. Raises BadCommand."""
    keys: list[str] = []
    named: set[str] = set()
    for word in words:
        if is_issue(word):
            keys.append(word)
            continue
        try:
            named.add(servers.named(word).name)
        except UnknownServer as unknown:
            neither = f"{ascii(word)[:80]} is neither an issue, like ABC-111, nor a server"
            raise BadCommand(why=f"{neither}; known: {unknown.facts['known']}") from None
    if len(named) > 1:
        raise BadCommand(why=f"name one server at a time, not {' and '.join(sorted(named))}")
    return next(iter(named), None), keys
