"""What lies between a client and the broker, and what the broker keeps: the two policies that a simulator replaces."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from enum import StrEnum

from usher.broker.port import Envelope

Frame = Callable[..., object]
"""What is done where it arrives."""

BROKERS = Context()
"""What the broker does it does in its own context, whoever caused it: a process that is killed takes no part of the
broker with it."""


class Network:
    """How what is sent gets there: by default at once. `host` is whose connection it is, as `dialer` was told."""

    def latency(self, host: str, to_broker: bool) -> float:
        """How long (s) one frame travels. Never before the one that was sent before it."""
        return 0.0

    def reaches(self, host: str) -> bool:
        """Whether a host that dials gets an answer."""
        return True

    def arrives(self, host: str, to_broker: bool) -> bool:
        """Whether what is under way when a line is cut still arrives."""
        return True


class Kept(StrEnum):
    """What becomes of a message at one of the queues that it was routed to."""

    KEPT = "kept"
    REFUSED = "refused"
    LOST = "lost"
    """The queue has no leader at this moment: it does not take it, and the publisher never hears."""


class Disks:
    """How the broker keeps what it is sent. By default everything, and confirmed at once."""

    def keeps(self, queue: str, envelope: Envelope) -> Kept:
        """Whether that queue takes it."""
        return Kept.KEPT

    def confirm_after(self, queues: Sequence[str]) -> float | None:
        """How long (s) the confirm for what these queues have taken is late; None: it never comes."""
        return 0.0


class Line:
    """One direction of a connection: a frame arrives after its latency, and never before the one sent before it.

    `context` is that of whoever is at the other end.
    """

    def __init__(self, latency: Callable[[], float], context: Context) -> None:
        self._latency = latency
        self._context = context
        self._frames: deque[tuple[float, Frame, tuple[object, ...]]] = deque()
        self._due = 0.0
        self._timer: asyncio.Handle | None = None
        self._holds: list[str] = []
        self._sealed = False

    def send(self, frame: Frame, *arguments: object) -> None:
        """Have that called at the other end."""
        if self._sealed:
            return
        self._due = max(self._due, asyncio.get_running_loop().time() + self._latency())
        self._frames.append((self._due, frame, arguments))
        if self._timer is None:
            self._schedule()

    def hold(self, why: str) -> None:
        """From now on nothing arrives; it is kept."""
        if why not in self._holds:
            self._holds.append(why)

    def release(self, why: str) -> None:
        """What was held for that reason arrives."""
        if why in self._holds:
            self._holds.remove(why)
            if self._timer is None:
                self._schedule()

    def seal(self) -> None:
        """Take nothing more; what is under way arrives."""
        self._sealed = True

    def stop(self) -> None:
        """Take nothing more, and nothing more arrives."""
        self._sealed = True
        self._frames.clear()

    def end(self, last: Frame, *, arrives: bool) -> None:
        """Hang up: `last` is what the other end notices, after what was under way if that arrives."""
        if not arrives or self._holds:
            self.stop()
            self._holds.clear()
        self._sealed = True
        self._frames.append((self._due, last, ()))
        if self._timer is None:
            self._schedule()

    def _schedule(self) -> None:
        if not self._frames or self._holds:
            return
        loop, due = asyncio.get_running_loop(), self._frames[0][0]
        if due <= loop.time():
            self._timer = loop.call_soon(self._arrive, context=self._context)
        else:
            self._timer = loop.call_at(due, self._arrive, context=self._context)

    def _arrive(self) -> None:
        self._timer = None
        if not self._frames or self._holds:
            return
        # a timer may be called a clock's tick too early
        now = max(asyncio.get_running_loop().time(), self._frames[0][0])
        for _ in range(len(self._frames)):
            if not self._frames or self._holds or self._frames[0][0] > now:
                break
            _, frame, arguments = self._frames.popleft()
            frame(*arguments)
        if self._timer is None:
            self._schedule()
