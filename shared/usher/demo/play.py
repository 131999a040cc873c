"""Plays the burst: reports each move when it is due, and watches the servers until everything is deployed."""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx

from usher.api.client import Client, base_url
from usher.api.types import Deploy, ServerState
from usher.core.errors import ServiceError
from usher.demo.story import MOVES, Move, expected
from usher.settings import Settings

MAX_SECONDS = 60.0
POLL_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Moment:
    """The state of the demo, `at` seconds after the burst began."""

    at: float
    sent: tuple[Move, ...]
    servers: tuple[ServerState, ...]


@dataclass(frozen=True, slots=True)
class Figures:
    """The content of the ledger at the end."""

    messages: int
    deploys: tuple[Deploy, ...]

    @property
    def as_expected(self) -> bool:
        """Whether each server had one deploy, which passed with all of its issues, and every move was covered."""
        deployed = {deploy.server: deploy.issues for deploy in self.deploys if deploy.outcome == "passed"}
        covered = sum(deploy.messages for deploy in self.deploys)
        return deployed == expected() and len(self.deploys) == len(deployed) and self.messages == covered == len(MOVES)


def play(settings: Settings) -> Iterator[Moment]:
    """Send the burst to trackers and poll successes until every server has deployed, for at most a minute.

    Raises ServiceError.
    """
    began = time.monotonic()
    sent: list[Move] = []
    with Client(settings) as client, httpx.Client(base_url=base_url(settings.trackers), trust_env=False) as jira:
        while (at := time.monotonic() - began) < MAX_SECONDS:
            for number, move in enumerate(MOVES):
                if len(sent) <= number and move.at <= at:
                    _send(jira, move, number)
                    sent.append(move)
            servers = tuple(client.servers())
            yield Moment(time.monotonic() - began, tuple(sent), servers)
            if len(sent) == len(MOVES) and all(server.state == "idle" and server.last for server in servers):
                return
            time.sleep(POLL_SECONDS)


def figures(settings: Settings) -> Figures:
    """Return the figures once the ledger has caught up with the board, which takes moments."""
    deadline = time.monotonic() + 5
    with Client(settings) as client:
        while True:
            messages = client.messages()
            found = Figures(len(messages), tuple(sorted(client.deploys(), key=lambda deploy: deploy.server)))
            if found.as_expected or time.monotonic() > deadline:
                return found
            time.sleep(POLL_SECONDS)


def _send(jira: httpx.Client, move: Move, number: int) -> None:
    try:
        jira.post("/webhooks/jira", json=move.body(number)).raise_for_status()
    except httpx.HTTPError as error:
        raise ServiceError(why=f"trackers did not accept the demo's {move.issue}: {error}; try again") from None
