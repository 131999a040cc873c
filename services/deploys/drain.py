"""What a stop means to running commands: they may end by themselves for a while, then they are cut."""

import asyncio
import logging
from contextlib import suppress

from usher.core.events import DeployEnded, DeployInterrupted
from usher.runtime.service import Stop

log = logging.getLogger(__name__)


class Drain:
    """From `stop` on there is no new turn; what runs then is cut once `cut` is set."""

    def __init__(self, stop: Stop, seconds: float) -> None:
        self.stop = stop
        self.cut = asyncio.Event()
        self._seconds = seconds
        self._finished: list[str] = []
        self._cut: list[str] = []

    async def watch(self) -> None:
        """Set `cut` so many seconds after the first signal, or at the second."""
        await self.stop.wait()
        if self._seconds:
            log.info("stopping: running commands get up to %g s; a second signal cuts them", self._seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self.stop.at_once.wait()
        self.cut.set()

    def note(self, end: DeployEnded | DeployInterrupted) -> None:
        """A deploy has ended; the last words name it if that was during the stop."""
        if self.stop.is_set():
            ended = self._finished if isinstance(end, DeployEnded) else self._cut
            ended.append(f"deploy {end.deploy} of {end.server}")

    def last_words(self) -> str:
        """What finished during the stop, and what was cut; empty if nothing ran."""
        told = (("finished", self._finished), ("cut", self._cut))
        return "; ".join(f"{what} {', '.join(deploys)}" for what, deploys in told if deploys)
