"""Prints the result of an order."""

from collections import defaultdict
from collections.abc import Iterable

import typer
from rich.console import Console

from usher.api.orders import OrderState
from usher.cli import held
from usher.cli.screen import console, issues, print_json
from usher.core.issues import Issue
from usher.core.orders import ChangedMessage

VERBS = {
    "withdraw": "Withdrawn",
    "retry": "Queued again",
    "drop": "Dropped",
    "abort": "Ended",
    "hold": "Held",
    "release": "Released",
}


def by_server(messages: Iterable[ChangedMessage]) -> dict[str, list[Issue]]:
    """The issues by server, without duplicates."""
    found: dict[str, dict[Issue, None]] = defaultdict(dict)
    for message in messages:
        found[message.server][message.issue] = None
    return {server: list(keys) for server, keys in found.items()}


def finish(state: OrderState, *, as_json: bool) -> None:
    """Print the result of an order, and exit. The exit code is 1 if the order was carried out but changed nothing."""
    if as_json:
        print_json(state)
    else:
        print_result(console(), state)
    changed = state.messages or state.running or state.released or state.order in ("abort", "hold")
    raise typer.Exit(1 if state.state == "done" and not changed else 0)


def print_result(screen: Console, state: OrderState) -> None:
    """Print what an order changed, and why it left other issues unchanged."""
    if state.state == "requested":
        screen.print(f"Requested, but not carried out yet. `usher orders {state.id}` shows the result.")
        return
    match state.order:
        case "abort":
            screen.print(f"Deploy {state.deploy} counts as ended; {', '.join(state.servers)} goes on.", soft_wrap=True)
        case "hold":
            held.print_hold(screen, state)
        case "release":
            held.print_release(screen, state)
        case _:
            _print_messages(screen, state)


def _print_messages(screen: Console, state: OrderState) -> None:
    for where, keys in by_server(state.messages).items():
        screen.print(f"{VERBS[state.order]}: {issues(keys)} on {where}.")
    for one in state.running:
        effect = "the order takes effect only if that deploy does not pass"
        screen.print(f"{one.issue} is being deployed to {one.server} by {one.deploy}: {effect}.", soft_wrap=True)
    places: dict[tuple[Issue, str], list[str]] = defaultdict(list)
    for left in state.left:
        places[left.issue, left.why].append(left.server)
    for (issue, why), servers in places.items():
        screen.print(f"{issue} on {', '.join(servers)} is unchanged: {why}", soft_wrap=True)
    if state.abridged:
        screen.print("The details have been deleted.")
    elif not (state.messages or state.running or state.left):
        screen.print("Nothing matches the order. `usher parked` lists parked issues, `usher history` lists deploys.")
