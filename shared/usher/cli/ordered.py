"""What an order did, in words."""

from collections import defaultdict
from collections.abc import Iterable

import typer

from usher.api.types import Ordered, OrderedMessage, WithdrawnMessage
from usher.cli.screen import console, issues, print_json
from usher.core.issues import Issue


def by_server(messages: Iterable[OrderedMessage | WithdrawnMessage]) -> dict[str, list[Issue]]:
    """The issues per server, none twice."""
    found: dict[str, dict[Issue, None]] = defaultdict(dict)
    for message in messages:
        found[message.server][message.issue] = None
    return {server: list(keys) for server, keys in found.items()}


def finish(done: Ordered, verb: str, *, as_json: bool) -> None:
    """Say what an order did; the exit code is 1 if that is nothing."""
    if as_json:
        print_json(done)
        raise typer.Exit(0 if done.messages else 1)
    screen = console()
    for where, keys in by_server(done.messages).items():
        screen.print(f"{verb}: {issues(keys)} on {where}.")
    for left in done.left:
        screen.print(f"{left.issue} on {left.server} is left as it is: {left.why}", soft_wrap=True)
    if not done.messages and not done.left:
        screen.print("There is nothing of that. `usher parked` lists what is parked, `usher history` the deploys.")
    raise typer.Exit(0 if done.messages else 1)
