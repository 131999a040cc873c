"""Holds in sentences, and the results of the orders that place and end them."""

from rich.console import Console

from usher.api.orders import OrderState
from usher.api.types import Hold
from usher.cli.screen import issues, zoned
from usher.core.scopes import Scope
from usher.runtime.wording import count


def sentence(hold: Hold) -> str:
    """`Held by jane since 14:00 CET until 17:00 CET: demo (6f1ed002).`"""
    until = f"until {zoned(hold.until)}" if hold.until else "with no known end"
    begun = f"{'Warning' if hold.warning else 'Held'} by {hold.by} since {zoned(hold.since)}"
    return f"{begun}, {until}: {hold.reason} ({hold.id[:8]})"


def print_hold(screen: Console, state: OrderState) -> None:
    """Print what was held, until when, and which deploys had been granted before."""
    place = f"{Scope.of(state.scope or '').words} ({count(len(state.servers), 'server')})"
    if state.state == "done":
        ended = f"was released by {state.released_by}" if state.released_by else "expired"
        at = f" at {zoned(state.done_at)}" if state.done_at else ""
        screen.print(f"The hold on {place} {ended}{at}.", soft_wrap=True)
        return
    verb, until = "Warning on" if state.warning else "Held:", f", until {zoned(state.until)}" if state.until else ""
    screen.print(f"{verb} {place}{until}. `usher release {state.id[:8]}` ends it.", soft_wrap=True)
    for server in dict.fromkeys(one.server for one in state.running):
        granted = [one for one in state.running if one.server == server]
        begun = f"{issues(one.issue for one in granted)} on {server} (deploy {granted[0].deploy})"
        screen.print(f"Granted before: {begun}. If its command has begun, it continues.", soft_wrap=True)


def print_release(screen: Console, state: OrderState) -> None:
    """Print which holds a release ended."""
    if not state.released:
        screen.print("The hold had already ended.")
        return
    ended = ", ".join(hold[:8] for hold in state.released)
    screen.print(f"Released: {ended} ({count(len(state.servers), 'server')}).", soft_wrap=True)
    screen.print("`usher servers` shows what happens next, and `usher holds` lists other holds.", soft_wrap=True)
