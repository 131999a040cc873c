"""Stories: a few faults in a certain order, which random faults would almost never hit."""

import dataclasses
import random

from crashes.guards import Behaviour
from crashes.plan import SERVERS, STUCK, TROUBLE, Fault, Plan
from crashes.poison import ENTRIES
from usher.broker.topology import server_queue


def without_faults(plan: Plan) -> Plan:
    """The plan without faults, except commands that fail."""
    commands = tuple(dataclasses.replace(command, owner="") for command in plan.commands)
    return dataclasses.replace(plan, faults=(), commands=commands, parallel=plan.servers, fleet=None)


def with_a_story(plan: Plan) -> Plan:
    """Replace the faults of some plans by a story: a third of those for one server, and a fifth of the others."""
    if not (chance := random.Random(f"stuck {plan.seed}")).randrange(10):
        return _stuck(plan, chance)
    chance = random.Random(f"late result {plan.seed}")
    if plan.servers == 1:
        return plan if chance.randrange(4) else _late_result(plan, chance)
    return plan if chance.randrange(8) else _trouble(plan, chance)


def _trouble(plan: Plan, chance: random.Random) -> Plan:
    """One server is in trouble: its queue is deleted, and somebody writes poisoned entries about it to the journal."""
    server = chance.choice(SERVERS[: plan.servers])
    faults = []
    for _ in range(chance.randint(2, 5)):
        what = chance.choice(("delete", *ENTRIES))
        who = server_queue(server) if what == "delete" else server
        at = round(chance.uniform(0, max(move.at for move in plan.moves) + 30), 3)
        faults.append(Fault(what, who, at, *chance.choice((("",), ("accepted", chance.randint(1, 8))))))
    return dataclasses.replace(without_faults(plan), faults=tuple(faults), story=TROUBLE)


def _stuck(plan: Plan, chance: random.Random) -> Plan:
    """Some commands cannot be killed. Either there is one machine with faults of all kinds; or there are two, and their
    processes stop in order; or nothing else happens, and the other servers must not wait for the stuck command."""
    commands = [*plan.commands]
    for _ in range(chance.randint(1, 3)):
        seconds = round(chance.choice((chance.uniform(5, 50), chance.uniform(70, 300))), 3)
        commands[chance.randrange(6)] = Behaviour(seconds, chance.choice((0, 0, 1)), on_term="refuses")
    told = dataclasses.replace(plan, commands=tuple(commands), story=STUCK, fleet=None)
    match chance.choice(("one machine", "stops", "nothing else")):
        case "one machine":
            faults = tuple(dataclasses.replace(f, who=f.who.replace("deploys-2", "deploys-1")) for f in plan.faults)
            return dataclasses.replace(told, deploys=1, faults=faults)
        case "stops":
            stops = tuple(
                Fault("stop", "holder", on="command.started", nth=chance.randint(1, 6), steps=chance.randint(0, 400))
                for _ in range(chance.randint(1, 4))
            )
            return dataclasses.replace(without_faults(told), faults=stops)
        case _:
            return dataclasses.replace(without_faults(told), parallel=1)


def _late_result(plan: Plan, chance: random.Random) -> Plan:
    """A holder freezes in mid-deploy, another takes over, and the journal loses its tail.

    The result of the first deploy then arrives late, while the second command is running. The journal no longer shows
    who has held the turn since.
    """
    freeze = Fault("freeze", "holder", on="command.started", seconds=round(chance.uniform(34, 50), 3))
    pause, size = round(chance.uniform(0.1, 3), 3), chance.randint(2, 6)
    loss = Fault("lose tail", on="command.started", nth=2, seconds=pause, size=size)
    short = Behaviour(round(chance.uniform(0.1, 8), 3))
    long = Behaviour(round(chance.uniform(10, 60), 3), on_term="ignores")
    faults = (freeze, loss, *plan.faults[: chance.randint(0, 3)])
    return dataclasses.replace(plan, commands=(short, long, *plan.commands), faults=faults, story="a late result")
