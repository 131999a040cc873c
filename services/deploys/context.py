"""What the turns of this process share."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass

from deploys.drain import Drain
from deploys.runner import Runner
from deploys.unwritten import Unwritten
from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.runtime.clock import Clock
from usher.settings import Settings


@dataclass(frozen=True, slots=True)
class Context:
    """Wired once per connection. `slots` bounds the commands at a time, `environment` is what a command may see."""

    settings: Settings
    journal: Journal
    publisher: Publisher
    runner: Runner
    clock: Clock
    slots: asyncio.Semaphore
    unwritten: Unwritten
    drain: Drain
    holder: str
    environment: Mapping[str, str]


def takeover_wait(settings: Settings) -> float:
    """The take-over wait, in seconds: after it, whoever had the turn before has noticed, and its command is dead.

    Three missed heartbeats and a half until a client notices its dead connection (aiormq), the guard's silence, the
    time from TERM to KILL, and five seconds.
    """
    beat = settings.broker.heartbeat.total_seconds()
    guard = settings.deploys.silence + settings.deploys.grace
    return 3 * (beat + 1) + beat / 2 + guard.total_seconds() + 5
