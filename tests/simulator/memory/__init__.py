"""The broker port's broker in memory, for a scheduler with a virtual clock: no threads, no wall clock, no chance.

    broker = MemoryBroker(network, disks, now)       # Network and Disks are policies: override what should go wrong
    async with connect(settings, "deploys", broker.dialer("deploys-1")) as link: …

Time passes by the running loop alone. `now` gives the time of day (s since 1970) for streams that are read from a time.

A client's half of a connection and the broker's are separate, and only frames pass between them, each after the latency
that `Network` gives it, in order. What is published is in its queues when its frame arrives; the confirm travels back.

Break one connection: `for wire in broker.wires: if wire.host == "deploys-1": wire.cut()`; also `lose_client`,
`lose_broker` (one side sees it before the other), `silence` and `mend`, `kill` (the client's process is dead).
Break the broker: `stop`, `start`, `restart`, `lose_tail`, `raise_alarm`, `clear_alarm`; `Disks.keeps` lets one of
several queues refuse, `Disks.confirm_after` makes confirms late or lose them. An operator's hand: `purge`,
`delete_queue`, `trim`. Look at it: `ready`, `unacked`, `entries`, `queues`, `wires`.
"""

from simulator.memory.broker import MemoryBroker
from simulator.memory.network import Disks, Kept, Network
from simulator.memory.wire import Wire

__all__ = ["Disks", "Kept", "MemoryBroker", "Network", "Wire"]
