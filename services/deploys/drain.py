"""Draining: when Usher stops, running commands get some time to finish, and are then killed."""

import asyncio
import logging
from contextlib import suppress

from usher.core.events import DeployEnded, DeployInterrupted, DeployStuck
from usher.runtime.service import Stop

log = logging.getLogger(__name__)


class Drain:
    """After `stop` is set, no new turn is taken. Once `kill` is set, running commands are killed."""

    def __init__(self, stop: Stop, seconds: float) -> None:
        self.stop = stop
        self.kill = asyncio.Event()
        self._seconds = seconds
        self._finished: list[str] = []
        self._killed: list[str] = []
        self._stuck: list[str] = []

    async def watch(self) -> None:
        """Set `kill` once the time after the first signal has passed, or at the second signal."""
        await self.stop.wait()
        if self._seconds:
            log.info("stopping: running commands get up to %g s; a second signal kills them", self._seconds)
        with suppress(TimeoutError):
            async with asyncio.timeout(self._seconds):
                await self.stop.at_once.wait()
        self.kill.set()

    def note(self, end: DeployEnded | DeployInterrupted | DeployStuck) -> None:
        """Record how a deploy ended for the summary, if Usher is stopping."""
        if self.stop.is_set():
            killed = self._killed if isinstance(end, DeployInterrupted) else self._stuck
            deploys = self._finished if isinstance(end, DeployEnded) else killed
            deploys.append(f"deploy {end.deploy} of {end.server}")

    def summary(self) -> str:
        """Which deploys finished during the stop, and which were killed or could not be; empty if nothing ran."""
        parts = (("finished", self._finished), ("killed", self._killed), ("could not kill", self._stuck))
        return "; ".join(f"{what} {', '.join(deploys)}" for what, deploys in parts if deploys)
