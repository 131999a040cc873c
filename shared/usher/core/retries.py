"""Retries: whether and when to retry a message whose deploy did not pass. Pure functions."""

from collections.abc import Collection
from dataclasses import dataclass

from usher.core.events import Outcome
from usher.core.messages import BackMessage

TRY_AGAIN_SOON = 75
"""The exit code for a temporary failure: `EX_TEMPFAIL` in sysexits(3)."""


@dataclass(frozen=True, slots=True)
class Again:
    """The message of the next attempt, which is due at its `queued_at`, and the delay (ms) of its retry queue."""

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
        self,
        message: BackMessage,
        deploy: str,
        outcome: Outcome,
        exit_code: int | None,
        now: int,
        shortened: float = 0.0,
    ) -> Again | None:
        """The next attempt of a message whose deploy ended at `now` (ms). None means that it is parked.

        It is due after its delay, which is `shortened` by that fraction.
        """
        code = exit_code if outcome is Outcome.FAILED else None
        if code in self.never:
            return None
        if code == TRY_AGAIN_SOON and self.delays and message.postponed < self.soon:
            return self._again(message, deploy, self.delays[0], now, shortened, postponed=True)
        if message.attempt > len(self.delays):
            return None
        return self._again(message, deploy, self.delays[message.attempt - 1], now, shortened)

    @staticmethod
    def _again(
        message: BackMessage, deploy: str, delay: int, now: int, shortened: float, *, postponed: bool = False
    ) -> Again:
        due = now + round(delay * (1 - shortened))
        return Again(message.again(due, deploy=deploy, postponed=postponed), delay)
