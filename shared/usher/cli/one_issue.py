"""One issue or one of its moves, as `usher show ISSUE` prints it: what happened to it on each server."""

from collections.abc import Iterable

from usher.api.client import Client
from usher.api.types import MessageState
from usher.cli import attempts, history
from usher.cli.screen import clock, console, print_json, zone, zoned
from usher.cli.tables import table
from usher.core.errors import BadMessage, ServiceError
from usher.settings import Settings

IGNORED = 5
"""How many of the ignored moves are shown."""

_STATES = {
    "superseded": "superseded: the deploy beside it covered a newer message of the issue.",
    "retried": "retried: its deploy failed; its next attempt is on the line below.",
    "parked": "parked: its deploy failed for the last time; a person decides whether to retry it.",
    "dropped": "dropped: it was parked, and a person decided not to deploy it.",
}


def show(client: Client, issue: str, settings: Settings, *, as_json: bool) -> None:
    """Print every move of an issue, and the moves that were ignored. As JSON, print only the messages."""
    found = client.messages(issue=issue)
    if as_json:
        print_json(found)
        return
    if found:
        _print(client, found, settings)
    ignored = client.ignored(IGNORED, issue=issue)
    for move in ignored:
        by = f" by {move.moved_by}" if move.moved_by else ""
        why = move.reason.partition(". To ")[0]  # `usher ignored` shows how to accept it
        says = f"  Moved to {move.status}{by} at {zoned(move.at)}, ignored: {why}. See `usher ignored`."
        console().print(says, style="dim", soft_wrap=True)
    if not (found or ignored):
        console().print(f"Usher has received nothing for {issue}. Does Jira's webhook reach it?", soft_wrap=True)


def show_move(client: Client, message: str, settings: Settings, *, as_json: bool) -> None:
    """Print every attempt of the move that a message belongs to. Raises BadMessage if there is no such message."""
    known = client.messages(1, id=message)
    if not known:
        raise BadMessage(why=f"no message {message} is known; for an order, use `usher orders {message}`")
    move = known[0].origin or known[0].id
    found = [one for one in client.messages(issue=str(known[0].issue)) if (one.origin or one.id) == move]
    if as_json:
        print_json(found)
    else:
        _print(client, found, settings)


def _print(client: Client, found: list[MessageState], settings: Settings) -> None:
    screen, dropped = console(), _dropped(client, found)
    screen.print(str(found[0].issue), style="bold")
    rows = table(f"Received ({zone()})", "Server", "State", f"Since ({zone()})", "Deploy", "Note")
    states = {}
    for move in attempts.by_move(found):
        for message in move:
            is_first = message is move[0]
            state = states[message.id] = "dropped" if message.id in dropped else message.state
            rows.add_row(
                clock(message.queued_at) if is_first else "",
                message.server,
                history.outcome(state, rehearsed=message.rehearsed),
                clock(message.changed_at),
                message.deploy or "",
                attempts.note(message, settings),
            )
    screen.print(rows)
    for state in dict.fromkeys(state for state in states.values() if state in _STATES):
        screen.print(f"  {_STATES[state]}", style="dim", soft_wrap=True)
    print_parked(client, [message for message in found if message.state == "parked"])


def _dropped(client: Client, found: Iterable[MessageState]) -> set[str]:
    """The ids of the messages that an order dropped. For an old order, that is no longer known."""
    issues = {str(message.issue) for message in found if message.state == "withdrawn" and message.by}
    try:
        orders = [order for issue in issues for order in client.orders(issue=issue) if order.order == "drop"]
    except ServiceError:  # successes is still reading the journal
        return set()
    return {message.id for order in orders for message in order.messages}


def print_parked(client: Client, parked: Iterable[MessageState]) -> None:
    """Print what failed and why, where the output is, and how to retry it."""
    screen, parked = console(), list(parked)
    for message in parked:
        advice = f"`usher parked retry {message.server} {message.issue}` retries it, `usher parked drop` drops it."
        screen.print(f"  {message.issue} is parked: its deploy to {message.server} failed. {advice}", soft_wrap=True)
    for deploy in dict.fromkeys(message.deploy for message in parked if message.deploy):
        failed = client.deploy(deploy)
        screen.print(f"  Deploy {deploy}: {failed.reason}. Its output ends with:", soft_wrap=True)
        history.print_output(client, failed, indent=4)
