"""`usher orders`: lists the orders that people gave, or shows one."""

from typing import Annotated

import typer

from usher.api.client import Client
from usher.api.orders import OrderState
from usher.cli.options import Json, issue_option
from usher.cli.ordered import VERBS, print_result
from usher.cli.screen import clock, console, issues, print_json, zone, zoned
from usher.cli.tables import table
from usher.core.scopes import Scope
from usher.runtime.wording import count
from usher.settings import load


def orders(
    order: Annotated[str | None, typer.Argument(help="Show only this order, by its id.", metavar="ORDER")] = None,
    server: Annotated[str | None, typer.Option("--server", help="Only orders for this server.")] = None,
    issue: Annotated[
        str | None,
        typer.Option("--issue", help="Only orders about this issue.", parser=issue_option, metavar="ISSUE"),
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Only orders that this person gave.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most this many.")] = 20,
    as_json: Json = False,
) -> None:
    """List the orders (hold, withdraw, retry …), newest first: who gave each, why, and its result.

    The last 10,000 are kept.

    \b
    Examples:
      usher orders
      usher orders --issue ABC-111
      usher orders --by jane@desk --json
      usher orders 6f1ed002ab5595859014ebf0951522d9     only this one
    """
    settings = load()
    named = settings.catalogue.named(server).name if server else None
    with Client(settings) as client:
        if order:
            _show(client.order(order), as_json=as_json)
            return
        given = (("server", named), ("issue", issue), ("by", by))
        found = client.orders(limit, **{name: value for name, value in given if value})
    if as_json:
        print_json(found)
        return
    screen = console()
    if not found:
        screen.print("No such orders.")
        return
    rows = table(f"When ({zone()})", "Who", "Order", "Scope", "Reason", "Result", "ID")
    for one in found:
        rows.add_row(clock(one.at), one.by, one.order, _scope(one), one.reason, _result(one), one.id)
    screen.print(rows)


def _show(one: OrderState, *, as_json: bool) -> None:
    if as_json:
        print_json(one)
        return
    screen = console()
    screen.print(f"{one.order} {_scope(one)}", style="bold", soft_wrap=True)
    reason = f": {one.reason}" if one.reason else ""
    screen.print(f"{zoned(one.at)}, by {one.by}{reason}", soft_wrap=True)
    print_result(screen, one)


def _scope(one: OrderState) -> str:
    """The scope of an order: `ABC-111 ABC-113 on beta.abc.wwts.com`, or a deploy."""
    if one.scope:
        return Scope.of(one.scope).words
    if one.order == "release":
        return "hold " + ", ".join(hold[:8] for hold in one.released)
    if one.abridged:
        return ""
    if one.deploy:
        return f"deploy {one.deploy} of {', '.join(one.servers)}"
    where = one.servers[0] if len(one.servers) == 1 else count(len(one.servers), "server")
    return f"{issues(one.issues, 6) or 'everything parked'} on {where}"


def _result(one: OrderState) -> str:
    """The result in a few words: `2 withdrawn, 1 running, 1 unchanged`."""
    if one.abridged:
        return "details deleted"
    if one.state == "requested":
        return "requested"
    if one.order == "abort":
        return "counts as ended"
    if one.order == "hold":
        return _hold(one)
    if one.order == "release":
        return f"{len(one.released)} released"
    done = ((len(one.messages), VERBS[one.order].lower()), (len(one.running), "running"), (len(one.left), "unchanged"))
    return ", ".join(f"{number} {what}" for number, what in done if number) or "nothing"


def _hold(one: OrderState) -> str:
    if one.state == "standing":
        return f"stands until {clock(one.until)}" if one.until else "stands"
    return f"released by {one.released_by}" if one.released_by else "expired"
