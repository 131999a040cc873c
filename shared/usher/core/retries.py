"""Retries: what becomes of a message whose deploy did not pass. A pure function of it and of how its deploy ended."""

from collections.abc import Collection
from dataclasses import dataclass

from usher.core.events import Outcome
from usher.core.messages import BackMessage

TRY_AGAIN_SOON = 75
"""The exit code by which a command says that it failed for now: `EX_TEMPFAIL` of sysexits(3)."""


@dataclass(frozen=True, slots=True)
class Again:
    """The next attempt, and how long (ms) until it is due."""

    message: BackMessage
    delay: int


@dataclass(frozen=True, slots=True)
class Ladder:
    """The rungs (ms): after the first failed attempt the first, and so on; after the last a message is parked.

    `never` are exit codes that are not tried again, `soon` is how often exit code 75 puts a message off by the first
    rung without an attempt lost; after that it is a failure like any other.
    """

    delays: tuple[int, ...]
    never: Collection[int] = ()
    soon: int = 0

    def after(
        self, message: BackMessage, deploy: str, outcome: Outcome, exit_code: int | None, now: int
    ) -> Again | None:
        """The next attempt of a message whose deploy ended so at `now` (ms); None: it is parked."""
        code = exit_code if outcome is Outcome.FAILED else None
        if code in self.never:
            return None
        if code == TRY_AGAIN_SOON and self.delays and message.postponed < self.soon:
            delay = self.delays[0]
            return Again(message.again(now + delay, deploy=deploy, postponed=True), delay)
        if message.attempt > len(self.delays):
            return None
        delay = self.delays[message.attempt - 1]
        return Again(message.again(now + delay, deploy=deploy), delay)
