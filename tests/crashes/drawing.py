"""Draws the plan of a run from its seed, before the run."""

import dataclasses
import random
from typing import Any

from crashes.fleet import Fleet
from crashes.guards import Behaviour
from crashes.plan import HOLD, SERVERS, Fault, Move, Order, Plan
from crashes.stories import with_a_story, without_faults
from usher.broker.topology import server_queue

FAULTS = 10
"""The minimum number of faults in a run, unless it tells a story."""


def plan_of(seed: int, *, calm: bool = False) -> Plan:
    """The plan of that seed. A `calm` plan has no faults, except commands that fail."""
    plan = _with_holds(_with_orders(_Drawing(seed).plan()))
    return without_faults(plan) if calm else with_a_story(plan)


class _Drawing:
    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.chance = random.Random(f"plan {seed}")

    def plan(self) -> Plan:
        chance = self.chance
        servers, self.span = chance.choice((1, 1, 2, 3)), chance.choice((40.0, 120.0, 300.0))
        successes, trackers = chance.choice((1, 2)), chance.choice((1, 2))
        self.replicas = ["deploys-1", "deploys-2", *("successes-1", "successes-2")[:successes]]
        self.replicas += ["trackers-1", "trackers-2"][:trackers]
        return Plan(
            self.seed,
            servers,
            successes=successes,
            trackers=trackers,
            parallel=chance.choice((1, 2, 4)),
            max_issues=chance.choice((1, 3, 1000, 1000)),
            latency=chance.choice((0.0005, 0.002, 0.02)),
            moves=tuple(sorted((self._move(servers) for _ in range(chance.randint(5, 30))), key=lambda m: m.at)),
            orders=tuple(self._order(servers) for _ in range(chance.choice((0, 0, 1, 3)))),
            commands=tuple(self._command() for _ in range(20)),
            faults=tuple(self._fault(servers) for _ in range(chance.randint(FAULTS, FAULTS + 6))),
            fleet=Fleet.of(self.seed, self.replicas, servers, self.span),
        )

    def _move(self, servers: int) -> Move:
        chance = self.chance
        times = chance.choice((1, 1, 1, 1, 2, 3))
        late = tuple(round(chance.choice((0.0, chance.uniform(0, 2), chance.uniform(0, 40))), 3) for _ in range(times))
        form = chance.choice(("jira",) * 8 + ("api", "rubbish"))
        return Move(round(chance.uniform(0, self.span), 3), chance.randrange(servers), chance.randint(1, 5), late, form)

    def _order(self, servers: int) -> Order:
        what = self.chance.choice(("withdraw", "withdraw", "retry", "drop", "retry deploy"))
        at = round(self.chance.uniform(5, self.span * 2 + 60), 3)
        return Order(at, what, self.chance.randrange(servers), self.chance.randint(1, 5))

    def _command(self) -> Behaviour:
        chance = self.chance
        return Behaviour(
            seconds=round(
                chance.choice((chance.uniform(0.1, 2), chance.uniform(5, 20), chance.uniform(20, 50), 1000)), 3
            )
            if chance.random() < 0.5
            else round(chance.uniform(2, 15), 3),
            code=chance.choice((0, 0, 0, 0, 1, 1, 75, 64)),
            on_term=chance.choice(("dies", "dies", "ignores", "finishes")),
            owner=chance.choice(("", "", "", "", "", "kill", "freeze", "stop", "lose")),
            late=chance.random() < 0.5,
        )

    def _fault(self, servers: int) -> Fault:
        chance = self.chance
        what = chance.choices(tuple(_FAULTS), tuple(_FAULTS.values()))[0]
        who = chance.choice(_QUEUES(servers)) if what in ("purge", "delete") else chance.choice(self.replicas)
        if chance.random() < 0.5:
            who = who if who not in self.replicas else chance.choice(("deploys-1", "deploys-2", "holder", "holder"))
        at, on, nth = round(chance.uniform(0, self.span * 2 + 60), 3), "", 1
        if chance.random() < 0.6:
            on, nth = chance.choice(_MOMENTS), min(int(chance.expovariate(0.4)) + 1, 8)
        steps = chance.choice((0, chance.randint(0, 12), chance.randint(0, 60), chance.randint(0, 400)))
        seconds = round(chance.choice((chance.uniform(0.1, 3), chance.uniform(3, 12), chance.uniform(10, 60))), 3)
        if what == "withdraw":
            on, nth, steps = "frozen", chance.choice((1, 1, 2, 3)), 0
        if what == "freeze" and chance.random() < 0.5:
            on, steps, who, seconds = "command.started", 0, "holder", seconds * 2
            if chance.random() < 0.5:  # short enough that it keeps its turn and its guard
                on, seconds = "guard started", round(chance.uniform(0.3, 2.5), 3)
        size = {"lose tail": chance.randint(1, 6), "jump": chance.choice((-3600, -20, 5, 300, 86400))}.get(what, 0)
        return Fault(what, who, at, on, nth, steps, seconds, size)


def _with_orders(plan: Plan) -> Plan:
    """Repeat some of the orders. Half of the plans also get more orders, and faults while these are carried out."""
    chance = random.Random(f"orders {plan.seed}")
    orders = [dataclasses.replace(order, **_repeats(chance)) for order in plan.orders]
    if chance.random() < 0.5:
        return dataclasses.replace(plan, orders=tuple(orders))
    end = max([move.at for move in plan.moves]) * 2 + 60
    for _ in range(chance.randint(1, 4)):
        what = chance.choice(("withdraw", "withdraw", "retry", "retry", "drop", "retry deploy"))
        at, server = round(chance.uniform(5, end), 3), chance.randrange(plan.servers)
        orders.append(Order(at, what, server, chance.randint(1, 5), **_repeats(chance)))
    faults = (_order_fault(chance, plan) for _ in range(chance.choice((0, 1, 2))))
    return dataclasses.replace(plan, orders=tuple(orders), faults=(*plan.faults, *faults))


def _with_holds(plan: Plan) -> Plan:
    """In a third of the plans, people hold one or all of the servers up to four times."""
    chance = random.Random(f"holds {plan.seed}")
    if chance.random() > 1 / 3:
        return plan
    holds = [
        Order(
            round(chance.uniform(1, 200), 3),
            HOLD,
            chance.randrange(plan.servers),
            chance.choice((0, 0, 1)),
            seconds=round(chance.uniform(1, 150), 3),
            released=chance.random() < 0.5,
        )
        for _ in range(chance.randint(1, 4))
    ]
    return dataclasses.replace(plan, orders=(*plan.orders, *holds))


def _repeats(chance: random.Random) -> dict[str, Any]:
    again = tuple(round(chance.uniform(0.01, 90), 3) for _ in range(chance.choice((0, 0, 1, 2))))
    return {"again": again, "door": chance.choice(("trackers", "successes"))}


def _order_fault(chance: random.Random, plan: Plan) -> Fault:
    what = chance.choice(("kill", "kill", "cut", "freeze", "stop", "lose tail", "fill disk", "lost confirms"))
    on = chance.choice(_ORDER_MOMENTS)
    steps = chance.choice((0, chance.randint(0, 12), chance.randint(0, 60)))
    seconds = round(chance.choice((chance.uniform(0.1, 3), chance.uniform(10, 60))), 3)
    return Fault(what, "holder", 0.0, on, chance.choice((1, 1, 2)), steps, seconds, size=chance.choice((1, 1, 2, 3)))


_ORDER_MOMENTS = (
    "order asked",
    "confirmed order.withdraw",
    "confirmed order.retry",
    "confirmed order.drop",
    "got order",
    "confirmed messages.withdrawn",
    "asked order.done",
    "confirmed order.done",
    "acked order",
)

_FAULTS = {
    "kill": 24,
    "vanish": 5,
    "freeze": 12,
    "stop": 7,
    "cut": 10,
    "silence": 5,
    "late confirms": 5,
    "lost confirms": 4,
    "restart broker": 5,
    "lose tail": 3,
    "alarm": 3,
    "purge": 3,
    "delete": 2,
    "fill disk": 4,
    "jump": 3,
    "kill guard": 3,
    "withdraw": 4,
}
"""The kinds of faults, and their relative frequency."""

_MOMENTS = (
    "accepted",
    "guard started",
    "asked deploy.taken",
    "confirmed deploy.taken",
    "command.started",
    "command.ended",
    "asked deploy.ended",
    "confirmed deploy.ended",
    "confirmed deploy.interrupted",
    "confirmed messages.retried",
    "confirmed messages.parked",
    "asked turn.given_back",
    "confirmed window.opened",
    "asked message",
    "acked",
)
"""The entries of the history that a fault can wait for."""


def _QUEUES(servers: int) -> tuple[str, ...]:  # noqa: N802
    several = tuple(map(server_queue, SERVERS[:servers]))
    return (*several, *several, "usher.results", "usher.returns", "usher.parked", "usher.retry.15s")
