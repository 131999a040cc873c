"""What all turns of this process share."""

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
    """Created once per connection.

    `slots` limits how many commands run at a time. `environment` is what a command may see of this process's variables.
    `troubles` says, by server, why its queue cannot be consumed.
    """

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
    troubles: dict[str, str]


def takeover_wait(settings: Settings) -> float:
    """The take-over wait in seconds: after it, a lost holder has noticed the loss, and its command is dead.

    It is the sum of the client's time to detect a dead connection (three and a half heartbeats in aiormq), the guard's
    `silence`, the `grace` period from TERM to KILL, and five seconds.
    """
    beat = settings.broker.heartbeat.total_seconds()
    guard = settings.deploys.silence + settings.deploys.grace
    return 3 * (beat + 1) + beat / 2 + guard.total_seconds() + 5
