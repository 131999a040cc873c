"""What came of an order, in words."""

from collections import defaultdict
from collections.abc import Iterable

import typer
from rich.console import Console

from usher.api.types import OrderState
from usher.cli.screen import console, issues, print_json
from usher.core.issues import Issue
from usher.core.orders import ChangedMessage

VERBS = {"withdraw": "Withdrawn", "retry": "Queued again", "drop": "Dropped"}


def by_server(messages: Iterable[ChangedMessage]) -> dict[str, list[Issue]]:
    """The issues per server, none twice."""
    found: dict[str, dict[Issue, None]] = defaultdict(dict)
    for message in messages:
        found[message.server][message.issue] = None
    return {server: list(keys) for server, keys in found.items()}


def finish(state: OrderState, *, as_json: bool) -> None:
    """Say what came of an order; the exit code is 1 if it was carried out and changed nothing."""
    if as_json:
        print_json(state)
    else:
        print_result(console(), state)
    raise typer.Exit(1 if state.state == "done" and not (state.messages or state.running) else 0)


def print_result(screen: Console, state: OrderState) -> None:
    """What an order changed, and why the rest was left."""
    if state.state == "requested":
        screen.print(f"Requested, and not carried out yet. `usher orders {state.id}` says what comes of it.")
        return
    for where, keys in by_server(state.messages).items():
        screen.print(f"{VERBS[state.order]}: {issues(keys)} on {where}.")
    for one in state.running:
        effect = "the order takes effect only if that deploy does not pass"
        screen.print(f"{one.issue} is being deployed to {one.server} by {one.deploy}: {effect}.", soft_wrap=True)
    places: dict[tuple[Issue, str], list[str]] = defaultdict(list)
    for left in state.left:
        places[left.issue, left.why].append(left.server)
    for (issue, why), servers in places.items():
        screen.print(f"{issue} on {', '.join(servers)} is left as it is: {why}", soft_wrap=True)
    if state.abridged:
        screen.print("What came of it is no longer kept.")
    elif not (state.messages or state.running or state.left):
        screen.print("There is nothing of that. `usher parked` lists what is parked, `usher history` the deploys.")
