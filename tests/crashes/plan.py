"""The plan of a run. It is only data, so that a failing plan can be shrunk."""

import dataclasses
from dataclasses import dataclass

from crashes.fleet import Fleet
from crashes.guards import Behaviour
from usher.broker.topology import server_queue

SERVERS = ("beta.abc.wwts.com", "test.abc.wwts.com", "beta.pear.wwts.com")
TROUBLE = "one server in trouble"
"""A story: the queue of one server is deleted, and somebody writes poisoned entries about it to the journal."""
STUCK = "a command that cannot be killed"
"""A story: some commands belong to another user."""

HOLD = "hold"
"""An order that holds a server, or all servers."""


@dataclass(frozen=True, slots=True)
class Move:
    """A person moves an issue at `at` (s). Jira sends the move once for each item of `late`, that many seconds later.

    `form` is jira, api (a front-end message), or rubbish.
    """

    at: float
    server: int
    issue: int
    late: tuple[float, ...] = (0.0,)
    form: str = "jira"


@dataclass(frozen=True, slots=True)
class Order:
    """A person gives an order at `at` (s): withdraw, retry or drop an issue, retry a deploy, or hold a server.

    A hold expires after `seconds`. If it is `released`, a person ends it before.

    The same order is given once more for each item of `again`, that many seconds after the previous time. `door` is the
    service that gets a withdrawal.
    """

    at: float
    what: str
    server: int
    issue: int
    again: tuple[float, ...] = ()
    door: str = "successes"
    seconds: float = 0.0
    released: bool = False


@dataclass(frozen=True, slots=True)
class Fault:
    """`what` happens to `who`, and lasts `seconds`.

    Without `on`, it happens at `at` (s). With `on`, it happens when the history notes `on` for the `nth` time. A fault
    of a process then waits until that process has taken `steps` more steps.
    """

    what: str
    who: str = ""
    at: float = 0.0
    on: str = ""
    nth: int = 1
    steps: int = 0
    seconds: float = 0.0
    size: int = 0

    def __str__(self) -> str:
        when = f"at {self.on} number {self.nth}" if self.on else f"at {self.at:.1f} s"
        steps = f" + {self.steps} steps" if self.steps else ""
        size = f", {self.size}" if self.size else ""
        return f"{self.what} {self.who} {when}{steps} for {self.seconds:.1f} s{size}"


@dataclass(frozen=True, slots=True)
class Plan:
    """All inputs of a run. A `story` has a few faults that belong together, instead of many that are drawn."""

    seed: int
    servers: int = 1
    deploys: int = 2
    successes: int = 1
    trackers: int = 1
    parallel: int = 2
    max_issues: int = 1000
    latency: float = 0.002
    moves: tuple[Move, ...] = ()
    orders: tuple[Order, ...] = ()
    commands: tuple[Behaviour, ...] = ()
    faults: tuple[Fault, ...] = ()
    fleet: Fleet | None = None
    story: str = ""

    @property
    def calm(self) -> bool:
        """Whether the run has no faults and no story."""
        return not (self.faults or self.story == STUCK or any(command.owner for command in self.commands))

    @property
    def quiet(self) -> frozenset[str]:
        """The servers that nothing disturbs: all in a calm run, and those without trouble in a run about trouble.

        In a run about commands that cannot be killed, these are only known afterwards.
        """
        if self.story == STUCK or any(order.what == HOLD for order in self.orders):
            return frozenset()
        if self.story == TROUBLE:
            return frozenset(SERVERS[: self.servers]) - {
                fault.who.removeprefix(server_queue("")) for fault in self.faults
            }
        return frozenset(SERVERS[: self.servers] if self.calm else ())

    def without(self, part: str, index: int) -> "Plan":
        """This plan without one move, order, command or fault."""
        whole = getattr(self, part)
        return dataclasses.replace(self, **{part: whole[:index] + whole[index + 1 :]})

    def __str__(self) -> str:
        story = f" ({self.story})" if self.story else ""
        lines = [
            f"seed {self.seed}{story}: {self.servers} servers, {self.deploys} deploys, {self.successes} successes, "
            f"{self.trackers} trackers, {self.parallel} commands at a time, at most {self.max_issues} issues"
        ]
        for part in (self.moves, self.orders, self.commands):
            lines += [f"  {one}" for one in part]
        lines += [f"  {self.fleet}"] if self.fleet else []
        return "\n".join([*lines, *(f"  fault: {fault}" for fault in self.faults)])
