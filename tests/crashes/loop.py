"""A seeded event loop in virtual time: when no callback is ready, the clock jumps to the next timer.

Ready callbacks run in the order in which they became ready, as asyncio guarantees. Randomness enters through the order
of timers that are due at the same time, and through simulated latencies. Each callback is a step, and belongs to the
simulated process that scheduled it.
"""

import asyncio
import heapq
import random
from collections.abc import Callable
from contextvars import Context, ContextVar
from typing import Any, Protocol, TypeVarTuple

from usher.broker.port import Gone

_Ts = TypeVarTuple("_Ts")


class Owner(Protocol):
    """The process that a callback belongs to."""

    runs: bool

    def stepped(self) -> bool:
        """One of its steps is about to run. Returns False if the step must not run after all."""

    def hold(self, handle: asyncio.Handle) -> None:
        """Keep a step that cannot run now."""


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)

NOBODYS = Context()
"""The context of everything that belongs to no process: the broker, the guards, the world."""

_OUTSIDE = "crashes.memory"
"""Callbacks of this package belong to the broker or the network, whichever process caused them."""


class StandStill(Exception):
    """The run has not ended, but nothing is scheduled any more."""


class Spinning(Exception):
    """The run took more steps than it may."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """The event loop of one run. `steps` counts callbacks; more than `budget` of them raise Spinning."""

    def __init__(self, seed: int, budget: int) -> None:
        super().__init__()
        self.chance = random.Random(f"loop {seed}")
        self.steps = 0
        self._budget = budget
        self._now = 0.0
        self._timers: list[tuple[float, float, int, asyncio.TimerHandle]] = []
        self._timer_count = 0
        self.faults: list[str] = []
        self.set_exception_handler(self._record_fault)

    def time(self) -> float:
        """Virtual seconds since the run began."""
        return self._now

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As in any loop, but timers that are due at the same time run in random order."""
        timer = asyncio.TimerHandle(when, callback, args, self, _context(callback) if context is None else context)
        self._timer_count += 1
        heapq.heappush(self._timers, (when, self.chance.random(), self._timer_count, timer))
        return timer

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """As in any loop."""
        handle = asyncio.Handle(callback, args, self, _context(callback) if context is None else context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As in any loop."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Run the function inline, as a separate step, a moment later."""
        future: asyncio.Future[Any] = self.create_future()

        def work() -> None:
            try:
                result = func(*args)
            except BaseException as error:
                if not future.cancelled():
                    future.set_exception(error)
            else:
                if not future.cancelled():
                    future.set_result(result)

        self.call_later(self.chance.uniform(0.0005, 0.02), work)
        return future

    def again(self, handles: list[asyncio.Handle]) -> None:
        """Schedule steps that were held."""
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        if not ready:
            self._advance()
            return
        handle = ready.popleft()
        if handle._cancelled:
            return
        owner = handle._context.get(OWNER)
        if owner is not None and not (owner.runs and owner.stepped()):
            owner.hold(handle)
            return
        self.steps += 1
        if self.steps > self._budget:
            raise Spinning(f"{self.steps} steps")
        handle._run()

    def _advance(self) -> None:
        """Advance the clock to the next timer."""
        while self._timers:
            when, _, _, timer = heapq.heappop(self._timers)
            if not timer._cancelled:
                self._now = max(self._now, when)
                self._ready.append(timer)  # type: ignore[attr-defined]
                return
        if not self._stopping:  # type: ignore[attr-defined]
            raise StandStill

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Nothing to do: a cancelled timer is skipped when it is due."""

    def _process_events(self, event_list: object) -> None:
        """Nothing to do: there is no selector."""

    def _write_to_self(self) -> None:
        """Nothing to do: the loop never sleeps."""

    def _record_fault(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Gone) and "future" in context:
            return  # the answer to a call that nobody waits for any more
        self.faults.append(f"{context['message']}: {error!r}" if error else str(context["message"]))


def _context(callback: Callable[..., object]) -> Context | None:
    return NOBODYS if getattr(callback, "__module__", "").startswith(_OUTSIDE) else None
