"""Wakes those who wait for an entry of the journal: events that are set whenever one about something has been read."""

import asyncio

from usher.core.events import Event


class Changes:
    """One asyncio event for each server, and one for each kind of entry that concerns no single server."""

    def __init__(self) -> None:
        self._events: dict[str, asyncio.Event] = {}

    def about(self, what: str) -> asyncio.Event:
        """An event that is set after each entry about that server, or of that kind. Those who wait clear it first."""
        return self._events.setdefault(what, asyncio.Event())

    def note(self, event: Event) -> None:
        """Wake those who wait for this entry, which is on the board by now."""
        self.about(getattr(event, "server", None) or event.kind).set()
