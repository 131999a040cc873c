"""A seeded event loop in virtual time: nothing waits, the clock goes to the next timer.

What is ready runs in the order in which it became so, as asyncio promises; chance enters by the order of timers that
are due at the same time, and by the latencies of whatever is simulated. Each callback is a step, and each step belongs
to the simulated process that asked for it.
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
    """Whose step a callback is."""

    runs: bool

    def stepped(self) -> bool:
        """One of its steps is about to run; False if it must not after all."""

    def hold(self, handle: asyncio.Handle) -> None:
        """A step that cannot run now."""


OWNER: ContextVar[Owner | None] = ContextVar("owner", default=None)

NOBODYS = Context()
"""The context of what is no process's: the broker, guards, the world."""


_OUTSIDE = "crashes.memory"
"""What this package has called is the broker's or the network's, whichever process made it do so."""


class StandStill(Exception):
    """Nothing is left to happen, and the run has not come to its end."""


class Spinning(Exception):
    """More steps than a run may take."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop of one run. `steps` counts callbacks; more than `budget` of them raise Spinning."""

    def __init__(self, seed: int, budget: int) -> None:
        super().__init__()
        self.chance = random.Random(f"loop {seed}")
        self.steps = 0
        self._budget = budget
        self._now = 0.0
        self._timers: list[tuple[float, float, int, asyncio.TimerHandle]] = []
        self._numbered = 0
        self.faults: list[str] = []
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Virtual seconds since the run began."""
        return self._now

    def call_at(
        self, when: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """The same as any loop's; of what is due at the same time, any may come first."""
        timer = asyncio.TimerHandle(when, callback, args, self, _context(callback) if context is None else context)
        self._numbered += 1
        heapq.heappush(self._timers, (when, self.chance.random(), self._numbered, timer))
        return timer

    def call_soon(
        self, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.Handle:
        """The same as any loop's."""
        handle = asyncio.Handle(callback, args, self, _context(callback) if context is None else context)
        self._ready.append(handle)  # type: ignore[attr-defined]
        return handle

    def call_later(
        self, delay: float, callback: Callable[[*_Ts], object], *args: *_Ts, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """The same as any loop's."""
        return self.call_at(self._now + delay, callback, *args, context=context)

    def run_in_executor(  # type: ignore[override]
        self, executor: object, func: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Runs inline, as a step of its own, a moment later."""
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
        """Run what was held."""
        self._ready.extend(handles)  # type: ignore[attr-defined]

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        if not ready:
            self._go_on()
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

    def _go_on(self) -> None:
        """To the next timer."""
        while self._timers:
            when, _, _, timer = heapq.heappop(self._timers)
            if not timer._cancelled:
                self._now = max(self._now, when)
                self._ready.append(timer)  # type: ignore[attr-defined]
                return
        if not self._stopping:  # type: ignore[attr-defined]
            raise StandStill

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """It is passed over when it comes."""

    def _process_events(self, event_list: object) -> None:
        """There are none."""

    def _write_to_self(self) -> None:
        """Nobody sleeps."""

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        if isinstance(error, Gone) and "future" in context:
            return  # the broker's own half of a call that nobody waits for any more
        self.faults.append(f"{context['message']}: {error!r}" if error else str(context["message"]))


def _context(callback: Callable[..., object]) -> Context | None:
    return NOBODYS if getattr(callback, "__module__", "").startswith(_OUTSIDE) else None
