"""The quiet time after the faults: it lasts until nothing is left to be done, or far longer than that can take."""

import asyncio
from typing import Any

from crashes.process import Life
from usher.broker.topology import JOURNAL, PARKED, UNROUTED

LOOK = 10.0
LOOKS = 2
"""In a row, until it counts."""

LONGEST = 4 * 3600.0


class Rest:
    """Whether a run has come to rest."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.settled = False
        self.unrest = "it never began to"

    async def come(self) -> None:
        """Wait for it."""
        until, seen = self._world.loop.time() + LONGEST, 0
        while self._world.loop.time() < until and seen < LOOKS:
            await asyncio.sleep(LOOK)
            self.unrest = self._unrest()
            seen = 0 if self.unrest else seen + 1
        self.settled = seen >= LOOKS

    def _unrest(self) -> str:
        world = self._world
        if world.faults.going_on:
            return "faults are still going on"
        if not all(replica.process and replica.process.life is Life.RUNNING for replica in world.replicas):
            return "not every process is there"
        if not world.operator_of_fleet.done:
            return "readers still halt at a hold"
        if not all(telling.done() for telling in world.tellings):
            return "somebody still tells"
        if not all(order.done() for order in world.orders):
            return "somebody still gives an order"
        if any(guard.busy for guard in world.commands.guards):
            return "a command runs"
        for name in sorted(set(world.broker.queues) - {JOURNAL, PARKED, UNROUTED}):
            if left := len(world.broker.ready(name)) + len(world.broker.unacked(name)):
                return f"{left} messages are in {name}"
        return self._unread()

    def _unread(self) -> str:
        """What the processes' own boards still have to be done."""
        for replica in self._world.of("successes"):
            board = replica.orders._memory.board if replica.orders else None
            if board is None:
                return f"{replica.name} has no board of orders"
            if asked := [known for known, entry in board.orders.entries.items() if entry.done_at is None]:
                return f"{replica.name}: orders {asked[:4]} are not carried out"
        for replica in self._world.of("deploys") + self._world.of("successes"):
            memory = replica.service._memory if replica.service else None
            if memory is None or memory.board is None:
                return f"{replica.name} has no board"
            if memory.halted:
                return f"{replica.name} has halted: {memory.halted}"
            for name in memory.board:
                server = memory.board.server(name)
                if server.open or server.retrying or server.undecided or server.running:
                    open_ = [*server.open, *server.retrying, *(f.message.id for f in server.undecided)]
                    return f"{replica.name}: {name} has {open_[:4]} to do, running {server.running is not None}"
        return ""
