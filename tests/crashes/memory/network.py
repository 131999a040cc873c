"""The network and the disks of the broker in memory: two policies that the simulator replaces."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from contextvars import Context
from enum import StrEnum

from usher.broker.port import Envelope

Frame = Callable[..., object]
"""A call that is made at the other end of a line."""

BROKERS = Context()
"""The broker acts in its own context, whoever caused the action. Killing a process therefore never stops a part of the
broker."""


class Network:
    """How frames travel: immediately by default. `host` is the host that dialled, as passed to `dialer`."""

    def latency(self, host: str, to_broker: bool) -> float:
        """How long (s) a frame travels. It never overtakes an earlier one."""
        return 0.0

    def reaches(self, host: str) -> bool:
        """Whether a host that dials reaches the broker."""
        return True

    def arrives(self, host: str, to_broker: bool) -> bool:
        """Whether frames in flight still arrive when a connection is cut."""
        return True


class Kept(StrEnum):
    """What a queue does with a message that was routed to it."""

    KEPT = "kept"
    REFUSED = "refused"
    LOST = "lost"
    """The queue has no leader at the moment: the message is not stored, and the publisher gets no answer."""


class Disks:
    """How the broker stores messages. By default it stores all, and confirms immediately."""

    def keeps(self, queue: str, envelope: Envelope) -> Kept:
        """Whether that queue stores the message."""
        return Kept.KEPT

    def confirm_after(self, queues: Sequence[str]) -> float | None:
        """The delay (s) of the confirm of a message for these queues; None if it never comes."""
        return 0.0


class Line:
    """One direction of a connection. A frame arrives after its latency, and never overtakes an earlier one.

    `context` is the context of the receiving end.
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
        """Send a frame, which is called at the other end."""
        if self._sealed:
            return
        self._due = max(self._due, asyncio.get_running_loop().time() + self._latency())
        self._frames.append((self._due, frame, arguments))
        if self._timer is None:
            self._schedule()

    def hold(self, why: str) -> None:
        """From now on, keep frames instead of letting them arrive."""
        if why not in self._holds:
            self._holds.append(why)

    def release(self, why: str) -> None:
        """End that hold. Without another one, the kept frames arrive."""
        if why in self._holds:
            self._holds.remove(why)
            if self._timer is None:
                self._schedule()

    def seal(self) -> None:
        """Accept no more frames. Those in flight still arrive."""
        self._sealed = True

    def stop(self) -> None:
        """Accept no more frames, and drop those in flight."""
        self._sealed = True
        self._frames.clear()

    def end(self, last: Frame, *, arrives: bool) -> None:
        """Close the line. The other end gets `last`, after the frames in flight if these arrive."""
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
        # a timer may fire one clock tick too early
        now = max(asyncio.get_running_loop().time(), self._frames[0][0])
        for _ in range(len(self._frames)):
            if not self._frames or self._holds or self._frames[0][0] > now:
                break
            _, frame, arguments = self._frames.popleft()
            frame(*arguments)
        if self._timer is None:
            self._schedule()
