"""Plays the storm: tells each move when it is due, and watches the servers until all is deployed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from usher.api.client import Client, base_url
from usher.api.types import Deploy, ServerState
from usher.core.errors import ServiceError
from usher.demo.story import MOVES, Move, promised
from usher.settings import Settings

LONGEST = 60.0
BETWEEN_LOOKS = 0.2


@dataclass(frozen=True, slots=True)
class Moment:
    """What there is to see, so many seconds after the storm began."""

    at: float
    told: tuple[Move, ...]
    servers: tuple[ServerState, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """What the ledger says at the end."""

    messages: int
    deploys: tuple[Deploy, ...]

    @property
    def as_promised(self) -> bool:
        """Exactly one deploy per server, passed, each naming the union of its issues, and every move in one."""
        deployed = {deploy.server: deploy.issues for deploy in self.deploys if deploy.outcome == "passed"}
        covered = sum(deploy.messages for deploy in self.deploys)
        return deployed == promised() and len(self.deploys) == len(deployed) and self.messages == covered == len(MOVES)


def play(settings: Settings) -> Iterator[Moment]:
    """Tell the storm to trackers and look at successes, until every server has deployed; at most a minute.

    Raises ServiceError.
    """
    began = time.monotonic()
    told: list[Move] = []
    with Client(settings) as client, httpx.Client(base_url=base_url(settings.trackers), trust_env=False) as jira:
        while (at := time.monotonic() - began) < LONGEST:
            for number, move in enumerate(MOVES):
                if len(told) <= number and move.at <= at:
                    _tell(jira, move, number)
                    told.append(move)
            servers = tuple(client.servers())
            yield Moment(time.monotonic() - began, tuple(told), servers)
            if len(told) == len(MOVES) and all(server.state == "idle" and server.last for server in servers):
                return
            time.sleep(BETWEEN_LOOKS)


def figures(settings: Settings) -> Figures:
    """The figures, once the ledger has what the board showed; it follows within moments."""
    deadline = time.monotonic() + 5
    with Client(settings) as client:
        while True:
            messages = client.messages()
            found = Figures(len(messages), tuple(sorted(client.deploys(), key=lambda deploy: deploy.server)))
            if found.as_promised or time.monotonic() > deadline:
                return found
            time.sleep(BETWEEN_LOOKS)


def _tell(jira: httpx.Client, move: Move, number: int) -> None:
    try:
        jira.post("/webhooks/jira", json=move.body(number)).raise_for_status()
    except httpx.HTTPError as error:
        raise ServiceError(why=f"trackers did not take the demo's {move.issue}: {error}; try again") from None
