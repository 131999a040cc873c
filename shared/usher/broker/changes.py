"""Wakes those who wait for an entry of the journal."""

import asyncio

from usher.core.board.board import Board
from usher.core.events import Event
from usher.core.orders import HoldExpired, HoldOrder, ReleaseOrder
from usher.core.servers import Server

HOLDS = "holds"
"""The subject of every entry that begins or ends a hold."""


class Changes:
    """Events that are set as entries are read: one for each thing that entries are about, and one for each held
    server."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}
        self._held: dict[str, tuple[str, asyncio.Event]] = {}

    def about(self, what: str) -> asyncio.Event:
        """An event that is set after each entry about a server, about HOLDS, or else of that kind.

        Those who wait clear it first.
        """
        return self._events.setdefault(what, asyncio.Event())

    def held(self, server: Server, board: Board) -> asyncio.Event:
        """An event that is set for as long as a hold stops that server and none of its deploys is unfinished."""
        if server.name not in self._held:
            self._held[server.name] = server.routing_key, asyncio.Event()
            self._look(server.name, board)
        return self._held[server.name][1]

    def note(self, event: Event, board: Board) -> None:
        """Wake those who wait for this entry, which is on the board by now."""
        if isinstance(event, HoldOrder | ReleaseOrder | HoldExpired):
            self.about(HOLDS).set()
            for name in self._held:
                self._look(name, board)
        elif server := getattr(event, "server", None):
            self.about(server).set()
            self._look(server, board)
        else:
            self.about(event.kind).set()

    def _look(self, name: str, board: Board) -> None:
        if name not in self._held:
            return
        place, held = self._held[name]
        if board.orders.holds.stop(place) and not board.server(name).running:
            held.set()
        else:
            held.clear()
