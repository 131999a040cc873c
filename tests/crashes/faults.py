"""Carries out the planned faults of processes, connections, the broker, disks and clocks."""

import asyncio
from collections.abc import Callable
from typing import Any

from crashes.clocks import BEGAN
from crashes.loop import NOBODYS
from crashes.memory.wire import Wire
from crashes.plan import Fault
from crashes.poison import ENTRIES, poison
from crashes.process import Life, Process
from crashes.replicas import Replica
from usher.broker.topology import JOURNAL, server_queue


class Faults:
    """Carries out the faults of a plan. `going_on` counts those that have not ended."""

    def __init__(self, world: Any) -> None:
        self._world = world
        self._counts: dict[str, int] = {}
        self._waiting: dict[tuple[str, int], list[Fault]] = {}
        self._freezes: dict[int, list[Wire]] = {}
        self._orders: list[asyncio.Task[None]] = []
        self._over = False
        self.going_on = 0
        world.commands.befall = self._hit_owner

    def begin(self) -> None:
        """Schedule the faults."""
        for fault in self._world.plan.faults:
            if fault.on:
                self._waiting.setdefault((fault.on, fault.nth), []).append(fault)
            else:
                self._world.later(fault.at, lambda fault=fault: self._happens(fault))
        self._world.history.watch = self._notice

    def end(self) -> None:
        """Start no more faults."""
        self._over = True
        self._world.history.watch = lambda what, facts: None

    def hang_up(self, process: Process) -> None:
        """Kill the connections of a dead process, including one that is still being opened."""
        for after in (0.0, 1.0, 12.0):
            self._world.later(after, lambda: self._kill_wires(process))

    def _kill_wires(self, process: Process) -> None:
        for wire in self._wires(process):
            wire.kill()

    def _notice(self, what: str, facts: dict[str, object]) -> None:
        self._counts[what] = count = self._counts.get(what, 0) + 1
        for fault in self._waiting.pop((what, count), ()):
            self._happens(fault, str(facts.get("by", "")))

    def _happens(self, fault: Fault, by: str = "") -> None:
        if self._over:
            return
        replica = self._replica(fault.who, by)

        def do() -> None:
            if not self._over:
                self._world.history.note("fault", what=str(fault), meets=str(replica.process if replica else ""))
                self._do(fault, replica)

        process = replica.process if replica else None
        if process and process.life is Life.RUNNING and fault.steps:
            process.after_steps(fault.steps, do)
        else:
            # never within a step of a process, which is indivisible
            self._world.later(0, do)

    def _do(self, fault: Fault, replica: Replica | None) -> None:
        if fault.what in ENTRIES:
            poison(self._world.broker, fault.what, fault.who, BEGAN + round(self._world.loop.time() * 1000))
        else:
            getattr(self, f"_{fault.what.replace(' ', '_')}")(fault, replica)

    def _replica(self, who: str, by: str) -> Replica | None:
        """The replica with that name. `holder` stands for the process that caused the awaited entry."""
        name = by.partition("#")[0] if who == "holder" and by else who
        return next((r for r in self._world.replicas if r.name == name), None)

    def _wires(self, process: Process | None) -> list[Wire]:
        return [wire for wire in self._world.broker.wires if process and wire.host == str(process)]

    def _hit_owner(self, what: str, owner: Process) -> None:
        replica = next((r for r in self._world.replicas if r.process is owner), None)
        if replica and owner.life is Life.RUNNING and not self._over:
            self._world.history.note("fault", what=f"{what} at a command's end", meets=str(owner))
            getattr(self, f"_{what if what != 'lose' else 'cut'}")(Fault(what, seconds=5.0), replica)

    def _end_after(self, seconds: float, do: Callable[[], object]) -> None:
        """Call `do` when the fault ends, after `seconds`."""
        self.going_on += 1

        def end() -> None:
            self.going_on -= 1
            do()

        self._world.later(seconds, end)

    # processes

    def _kill(self, fault: Fault, replica: Replica | None) -> None:
        if replica:
            replica.kill(fault.seconds)

    def _vanish(self, fault: Fault, replica: Replica | None) -> None:
        """Kill the whole machine with its commands. The broker notices by missing heartbeats."""
        if replica and replica.process:
            for guard in self._world.commands.guards:
                if guard.owner is replica.process or guard.lock in self._world.commands.locks_of(replica.name):
                    guard.die(whole_machine=True)
            for wire in self._wires(replica.process):
                wire.kill(wire.broker_notices)
            replica.kill(fault.seconds)

    def _stop(self, fault: Fault, replica: Replica | None) -> None:
        if replica:
            replica.stop()

    def _freeze(self, fault: Fault, replica: Replica | None) -> None:
        process = replica.process if replica else None
        if process is None or process.life is not Life.RUNNING:
            return
        self._world.history.note("frozen", who=str(process))
        process.freeze()
        wires = self._wires(process)
        for wire in wires:
            wire.to_client.hold("frozen")
            self._world.later(wire.broker_notices, lambda wire=wire: wire.session.lost() if process.frozen else None)
        self._end_after(fault.seconds, lambda: self._thaw(process, wires))

    def _thaw(self, process: Process, wires: list[Wire]) -> None:
        if process.life is not Life.FROZEN:
            return
        self._world.history.note("thawed", who=str(process))
        process.thaw()
        for wire in wires:
            wire.to_client.release("frozen")
            if wire.session.gone:
                wire.to_client.end(wire.client.lost, arrives=True)

    def _kill_guard(self, fault: Fault, replica: Replica | None) -> None:
        if guards := [guard for guard in self._world.commands.guards if guard.busy]:
            self._world.loop.chance.choice(guards).die()

    def _jump(self, fault: Fault, replica: Replica | None) -> None:
        if replica:
            replica.clock.skew += fault.size * 1000

    def _withdraw(self, fault: Fault, _: Replica | None) -> None:
        """Not a fault: somebody gives an order at this moment."""
        self._orders.append(self._world.loop.create_task(self._world.outside.withdraw_all(), context=NOBODYS.copy()))

    # connections

    def _cut(self, fault: Fault, replica: Replica | None) -> None:
        chance = self._world.loop.chance
        how = chance.choice((Wire.cut, Wire.lose_client, Wire.lose_broker))
        wires = self._wires(replica.process if replica else None)
        for wire in wires if chance.random() < 0.5 else wires[-1:]:
            how(wire)

    def _silence(self, fault: Fault, replica: Replica | None) -> None:
        if replica is None:
            return
        wires, network = self._wires(replica.process), self._world.network
        network.unreachable.add(replica.name)
        for wire in wires:
            wire.silence()

        def restore() -> None:
            network.unreachable.discard(replica.name)
            for wire in wires:
                wire.restore()

        self._end_after(fault.seconds, restore)

    # the broker

    def _late_confirms(self, fault: Fault, _: Replica | None) -> None:
        self._world.disks.late = self._world.loop.time() + fault.seconds
        self._end_after(fault.seconds + 10, lambda: None)

    def _lost_confirms(self, fault: Fault, _: Replica | None) -> None:
        disks, until = self._world.disks, self._world.loop.time() + fault.seconds
        if self._world.loop.chance.random() < 0.5:
            disks.lost = until
        else:
            disks.partial = until
        self._end_after(fault.seconds, lambda: None)

    def _restart_broker(self, fault: Fault, _: Replica | None) -> None:
        self._broker_down(fault.seconds)

    def _lose_tail(self, fault: Fault, _: Replica | None) -> None:
        broker = self._world.broker
        if JOURNAL in broker.queues and self._broker_down(fault.seconds):
            entries = broker.entries(JOURNAL)[-fault.size :]
            self._world.lost += [(self._world.loop.time(), envelope.body) for _, envelope in entries]
            broker.lose_tail(JOURNAL, fault.size)

    def _broker_down(self, seconds: float) -> bool:
        broker = self._world.broker
        if not broker.running:
            return False
        broker.stop(silently=self._world.loop.chance.random() < 0.3)
        self._end_after(seconds, broker.start)
        return True

    def _alarm(self, fault: Fault, _: Replica | None) -> None:
        self._world.broker.raise_alarm()
        self._end_after(fault.seconds, self._world.broker.clear_alarm)

    def _purge(self, fault: Fault, _: Replica | None) -> None:
        broker = self._world.broker
        if fault.who in broker.queues and broker.running:
            self._world.taken_out |= {envelope.message_id for envelope in broker.ready(fault.who)}
            self._world.operator.add(f"purge {fault.who}")
            broker.purge(fault.who)

    def _delete(self, fault: Fault, _: Replica | None) -> None:
        broker = self._world.broker
        if fault.who in broker.queues and broker.running and fault.who.startswith(server_queue("")):
            gone = (*broker.ready(fault.who), *broker.unacked(fault.who))
            self._world.taken_out |= {envelope.message_id for envelope in gone}
            self._world.operator.add("delete")
            broker.delete_queue(fault.who)

    # disks

    def _fill_disk(self, fault: Fault, _: Replica | None) -> None:
        self._world.disk.full = True

        def empty() -> None:
            self._world.disk.full = False

        self._end_after(fault.seconds, empty)
