"""The quiet time after the faults. It lasts until no work is left, or until far more time than that should take."""

import asyncio
from typing import Any

from crashes.process import Life
from usher.broker.topology import JOURNAL, PARKED, UNROUTED

CHECK_SECONDS = 10.0
CHECKS = 2
"""How many checks in a row must find no work."""

MAX_SECONDS = 4 * 3600.0


class Rest:
    """Whether a run has come to rest."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self.settled = False
        self.unrest = "it was never checked"

    async def come(self) -> None:
        """Wait until the run has come to rest."""
        until, quiet = self._world.loop.time() + MAX_SECONDS, 0
        while self._world.loop.time() < until and quiet < CHECKS:
            await asyncio.sleep(CHECK_SECONDS)
            self.unrest = self._unrest()
            quiet = 0 if self.unrest else quiet + 1
        self.settled = quiet >= CHECKS

    def _unrest(self) -> str:
        """Why the run has not come to rest; empty if it has."""
        world = self._world
        if world.faults.going_on:
            return "a fault has not ended"
        if not all(replica.process and replica.process.life is Life.RUNNING for replica in world.replicas):
            return "not every process is running"
        if not world.operator_of_fleet.done:
            return "readers still halt at a hold"
        if not all(sending.done() for sending in world.sendings):
            return "moves are still being sent"
        if not all(order.done() for order in world.orders):
            return "orders are still being given"
        if any(guard.busy for guard in world.commands.guards):
            return "a command is still running"
        for name in sorted(set(world.broker.queues) - {JOURNAL, PARKED, UNROUTED}):
            if left := len(world.broker.ready(name)) + len(world.broker.unacked(name)):
                return f"{left} messages are in {name}"
        return self._unfinished()

    def _unfinished(self) -> str:
        """What is unfinished on the board of a process; empty if nothing is."""
        for replica in self._world.of("successes"):
            board = replica.orders._memory.board if replica.orders else None
            if board is None:
                return f"{replica.name} has no board of orders"
            if pending := [known for known, entry in board.orders.entries.items() if entry.done_at is None]:
                return f"{replica.name}: orders {pending[:4]} are not carried out"
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
                    return f"{replica.name}: {name} has {open_[:4]} open, running {server.running is not None}"
        return ""
