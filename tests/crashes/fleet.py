"""A mixed fleet: some replicas run a newer version, which can hold a server. Older ones do not understand a hold.

The newer version is this one with two more facts, of journal version 2: `server.held` and `server.released`. It grants
no taking of a held server. Its boards store holds in a field that is part of checkpoints. Each step of a process runs
with that process's version. Code outside a process, such as the checker, runs with the newer version.
"""

import asyncio
import random
import secrets
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal
from unittest.mock import patch

from pydantic import BaseModel

from crashes.loop import OWNER
from crashes.memory.queues import Message
from crashes.process import Process
from successes import checkpoints
from usher.broker import places, reading
from usher.broker.port import Envelope
from usher.broker.topology import FACTS, JOURNAL
from usher.core import versions
from usher.core.board.board import Board
from usher.core.errors import Unreadable
from usher.core.events import DeployTaken, Event
from usher.core.events import decode as decode_known
from usher.core.versions import NEEDS, VERSION

OLDER, NEWER = VERSION, VERSION + 1
REAL_NEEDS = Board.needs

LOOK = 5.0
MAX_HALT = 900.0
"""Seconds after the hold and after all faults in which a checkpoint must let halted readers go on."""

RELEASE_AGAIN = 6
"""The number of looks after which a release is written again, because the journal may have lost it."""


class _Fact(BaseModel):
    needs: ClassVar[int] = NEWER
    v: Literal[1] = 1
    server: str


class ServerHeld(_Fact):
    """No taking of the server is granted after this entry of the journal."""

    kind: Literal["server.held"] = "server.held"


class ServerReleased(_Fact):
    """Takings of the server are granted again."""

    kind: Literal["server.released"] = "server.released"


@dataclass(frozen=True, slots=True)
class Fleet:
    """Which replicas run the newer version. One server is held from `at` (s) for `seconds`.

    With `downgrade`, older processes replace the newer ones as soon as the journal no longer needs the newer version.
    There are `checkpoints` seconds between two checkpoints.
    """

    newer: tuple[str, ...]
    server: int
    at: float
    seconds: float
    downgrade: bool
    checkpoints: float

    @classmethod
    def of(cls, seed: int, replicas: list[str], servers: int, span: float) -> "Fleet | None":
        """The fleet of that seed. For most seeds it is None: all replicas run this version."""
        chance = random.Random(f"fleet {seed}")
        if chance.random() > 0.25:
            return None
        others = [name for name in replicas if name != "successes-1"]
        newer = ("successes-1", *(name for name in others if chance.random() < 0.4))
        at, seconds = round(chance.uniform(2, span), 3), round(chance.uniform(1, 60), 3)
        often = chance.choice((10.0, 3600.0))
        return cls(newer, chance.randrange(servers), at, seconds, chance.random() < 0.5, often)


def decode(body: bytes) -> Event:
    """Decode an entry as the current process's version would. Raises Unreadable."""
    try:
        return decode_known(body)
    except Unreadable:
        if _version() < NEWER:
            raise
        for kind in (ServerHeld, ServerReleased):
            if kind.model_fields["kind"].default.encode() in body:
                fact: Any = kind.model_validate_json(body)
                return fact  # type: ignore[no-any-return]
        raise


def is_held(board: Board, server: str) -> bool:
    """Whether that server is held on the board of a newer process."""
    return _key(server) in board.received


class Operator:
    """Holds and releases a server of a mixed fleet, and downgrades the fleet."""

    def __init__(self, world: Any, fleet: Fleet | None, servers: tuple[str, ...]) -> None:
        self._world, self._fleet, self._servers = world, fleet, servers
        self.done = fleet is None
        self._downgraded = False

    def version_of(self, replica: str) -> int:
        """The version that a process of that replica runs when it starts now."""
        fleet = self._fleet
        return NEWER if fleet is None or (replica in fleet.newer and not self._downgraded) else OLDER

    async def work(self) -> None:
        """Hold the server, then release it, and wait until no reader halts at the hold any more.

        A downgrade is undone if the journal then loses the checkpoint that allowed it, as an operator would do.
        """
        if self._fleet is None:
            return
        server = self._servers[self._fleet.server]
        await asyncio.sleep(self._fleet.at)
        await self._write(ServerHeld(server=server))
        await asyncio.sleep(self._fleet.seconds)
        await self._release(server)
        if self._fleet.downgrade:
            self._restart(older=True)
            while self._world.loop.time() < self._world.horizon:
                await asyncio.sleep(LOOK)
                if not self._is_covered():
                    self._restart(older=False)
                    await self._release(server)
                    self._restart(older=True)
        self.done = True

    async def _release(self, server: str) -> None:
        """Release the server, and wait until older readers can go on."""
        assert self._fleet is not None
        looks = 0
        while not self._is_covered():
            if looks % RELEASE_AGAIN == 0:
                await self._write(ServerReleased(server=server))
            looks += 1
            await asyncio.sleep(LOOK)
        halted = self._world.loop.time() - max(self._fleet.at + self._fleet.seconds, self._world.horizon)
        if halted > MAX_HALT:
            self._world.history.note(
                "violation", why=f"readers still halted {halted:.0f} s after the last hold and fault"
            )

    def _restart(self, *, older: bool) -> None:
        """Replace the newer processes with older ones, or the other way round."""
        assert self._fleet is not None
        self._downgraded = older
        for replica in self._world.replicas:
            if replica.name in self._fleet.newer:
                replica.stop()

    async def _write(self, fact: _Fact) -> None:
        broker = self._world.broker
        while not broker.running or JOURNAL not in broker.queues:
            await asyncio.sleep(1)
        kind = str(fact.model_dump()["kind"])
        self._world.history.note(kind, server=fact.server)
        envelope = Envelope(
            fact.model_dump_json().encode(), message_id=secrets.token_hex(16), type=f"{kind}/1", headers={NEEDS: NEWER}
        )
        broker.store.publish(Message(envelope, FACTS, kind))

    def _is_covered(self) -> bool:
        """Whether a checkpoint without holds, for older readers, covers the last entry for newer ones."""
        last, covered = -1, False
        for offset, envelope in self._world.broker.entries(JOURNAL):
            entry = places.Entry(places.Position(offset, ""), envelope.body, versions.needs_of(envelope.headers))
            if entry.needs > OLDER:
                last, covered = offset, False
            elif (found := entry.checkpoint()) and found.through >= last:
                covered = not any(map(_is_key, found.received))
        return covered


@contextmanager
def mixed(fleet: Fleet | None) -> Iterator[None]:
    """Run each process with its own version while the block runs."""
    if fleet is None:
        yield
        return
    apply = Board.apply

    def newer_apply(board: Board, event: Any, **clocks: Any) -> Any:
        match event:
            case ServerHeld():
                board.received[_key(event.server)] = 1
                return ()
            case ServerReleased():
                board.received.pop(_key(event.server), None)
                return ()
            case DeployTaken() if is_held(board, event.server) and _version() >= NEWER:
                return ()
        return apply(board, event, **clocks)

    with ExitStack() as stack:
        for module in (versions, reading, places):
            stack.enter_context(patch.object(module, "understands", lambda needs: needs <= _version()))
        stack.enter_context(patch.object(places, "decode", decode))
        stack.enter_context(patch.object(Board, "apply", newer_apply))
        stack.enter_context(patch.object(Board, "needs", property(_needs)))
        stack.enter_context(patch.object(checkpoints, "EVERY", fleet.checkpoints))
        yield


def _version() -> int:
    owner = OWNER.get()
    return owner.version if isinstance(owner, Process) else NEWER


def _needs(board: Board) -> int:
    return NEWER if any(map(_is_key, board.received)) else REAL_NEEDS.__get__(board)


def _key(server: str) -> str:
    return f"held {server}"


def _is_key(key: str) -> bool:
    return key.startswith("held ")
