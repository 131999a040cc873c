"""Retries: whether and when to retry a message whose deploy did not pass. Pure functions."""

from collections.abc import Collection
from dataclasses import dataclass

from usher.core.events import Outcome
from usher.core.messages import BackMessage

TRY_AGAIN_SOON = 75
"""The exit code for a temporary failure: `EX_TEMPFAIL` in sysexits(3)."""


@dataclass(frozen=True, slots=True)
class Again:
    """The message of the next attempt, and the delay (ms) until it is due."""

    message: BackMessage
    delay: int


@dataclass(frozen=True, slots=True)
class Ladder:
    """The retry rules of a server. `delays` (ms) are the waits after the first failed attempt, after the second, and so
    on. A message that fails after the last one is parked.

    The exit codes in `never` are not retried. `soon` is how often exit code 75 postpones a message by the first delay
    without using up an attempt. After that it is an ordinary failure.
    """

    delays: tuple[int, ...]
    never: Collection[int] = ()
    soon: int = 0

    def after(
        self, message: BackMessage, deploy: str, outcome: Outcome, exit_code: int | None, now: int
    ) -> Again | None:
        """The next attempt of a message whose deploy ended at `now` (ms). None means that it is parked."""
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
