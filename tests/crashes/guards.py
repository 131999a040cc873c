"""Guards and commands: the behaviour of `services/deploys/guard.py` and of a command, without processes.

The real runner sends a guard the real JSON lines. A guard outlives its `deploys`. It stops the command when its pipe
closes, or when no heartbeat arrives for `silence`: it sends TERM, and after `grace` KILL.
"""

import asyncio
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from crashes.history import History
from crashes.loop import NOBODYS, SimulatedLoop
from crashes.process import Process
from usher.runtime.locks import Locked, Locking

TERMINATED, KILLED = -15, -9
FIRST_PID = 1 << 30
"""No real process has such a high number, in case something sends it a signal."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a command does: it ends after `seconds` with the exit code `code`.

    On TERM it `dies` immediately, `ignores` it, or `finishes`, that is, it ends with its exit code a moment later. If
    it `refuses`, it belongs to another user, and KILL does not end it either.
    `owner` is the fault that happens to its `deploys`, if any, just before the command ends, or with `late` just after.
    """

    seconds: float
    code: int = 0
    on_term: str = "dies"
    owner: str = ""
    late: bool = False


class Command:
    """A running command."""

    def __init__(self, guard: "Guard", order: dict[str, object]) -> None:
        environment = order["env"]
        assert isinstance(environment, dict)
        self._guard, self._world = guard, guard.commands
        self.behaviour = self._world.next_behaviour()
        self.deploy, self.server = environment["USHER_DEPLOY"], environment["USHER_SERVER"]
        self.over = False
        self._world.history.note(
            "command.started",
            server=self.server,
            deploy=self.deploy,
            issues=environment["USHER_ISSUES"],
            by=str(guard.owner),
            does=f"{self.behaviour.code} in {self.behaviour.seconds:.0f} s, {self.behaviour.on_term} on TERM",
        )
        self._later(self.behaviour.seconds, partial(self.end, self.behaviour.code))
        if self.behaviour.owner:
            moment = self._world.loop.chance.uniform(0, 0.004) * (1 if self.behaviour.late else -1)
            self._later(self.behaviour.seconds + moment, self._hit_owner)

    def signal(self, number: int) -> None:
        """TERM or KILL."""
        chance = self._world.loop.chance
        if self.behaviour.on_term == "refuses":
            if number == KILLED and not self.over:
                self._guard.refused()
        elif number == KILLED or self.behaviour.on_term == "dies":
            self._later(chance.uniform(0.0001, 0.05), partial(self.end, number))
        elif self.behaviour.on_term == "finishes":
            self._later(chance.uniform(0.01, 1.5), partial(self.end, self.behaviour.code))

    def _hit_owner(self) -> None:
        if not self.over or self.behaviour.late:
            self._world.befall(self.behaviour.owner, self._guard.owner)

    def end(self, code: int) -> None:
        """The command has ended."""
        if not self.over:
            self.over = True
            self._world.history.note("command.ended", server=self.server, deploy=self.deploy, code=code)
            self._guard.lock.commands -= 1
            self._guard.command_ended(code)

    def _later(self, delay: float, do: Callable[[], None]) -> None:
        self._world.loop.call_later(delay, do, context=NOBODYS)


@dataclass(slots=True)
class Lock:
    """A server's lock on one machine: how many guards and commands hold it, and what it says."""

    guards: int = 0
    commands: int = 0
    deploy: str = ""
    pids: tuple[int, ...] = ()
    past: tuple[str, ...] = ()


class SimulatedLocks:
    """The locks of one machine."""

    def __init__(self, commands: "Commands", machine: str) -> None:
        self._commands, self._machine = commands, machine
        self._numbers: dict[str, int] = commands.numbers.setdefault(machine, {})

    @contextmanager
    def hold(self, server: str) -> Iterator[int]:
        """See usher.runtime.locks.Locks."""
        if server not in self._numbers:
            self._numbers[server] = len(self._commands.locks)
            self._commands.locks.append(Lock())
        lock = self._commands.locks[self._numbers[server]]
        if lock.guards or lock.commands:
            raise Locked(deploy=lock.deploy)
        lock.past = (lock.deploy, *lock.past) if lock.deploy else lock.past
        lock.deploy, lock.pids = "", ()
        yield self._numbers[server]

    def read(self, server: str) -> Locking:
        """See usher.runtime.locks.Locks."""
        if server not in self._numbers:
            return Locking()
        lock = self._commands.locks[self._numbers[server]]
        return Locking(
            bool(lock.guards or lock.commands), lock.deploy, lock.pids, "root" if lock.pids else "", lock.past
        )


class Guard:
    """A guard. For the runner it is both an `asyncio.subprocess.Process` and the standard input of that process."""

    def __init__(self, commands: "Commands", owner: Process, silence: float, grace: float, lock: Lock) -> None:
        self.commands, self.owner, self.lock = commands, owner, lock
        lock.guards += 1
        self.stdin, self.stdout = self, asyncio.StreamReader(loop=commands.loop)
        self._silence, self._grace = silence, grace
        self._heard_at = commands.loop.time()
        self._command: Command | None = None
        self._stopped: str | None = None
        self._closing = self._dead = False
        self._ended = asyncio.Event()
        self._at = 0.0
        self._pid = commands.next_pid()
        owner.on_death(self.close)
        self._say(ready=self._pid)
        self._watch()

    @property
    def busy(self) -> bool:
        """Whether it is still running."""
        return not self._dead

    # called by the runner

    def write(self, line: bytes) -> None:
        if self._closing:
            return
        order = json.loads(line)
        if "heartbeat" in order:
            self._beat()
        else:
            self._soon(partial(self._take, order))

    def is_closing(self) -> bool:
        return self._closing

    def close(self) -> None:
        if not self._closing:
            self._closing = True
            self._soon(partial(self.stop, "deploys closed the pipe", self._grace))

    @property
    def returncode(self) -> int | None:
        return 0 if self._ended.is_set() else None

    async def wait(self) -> int:
        await self._ended.wait()
        return 0

    # the guard itself

    def die(self, whole_machine: bool = False) -> None:
        """Somebody kills the guard: its command dies with it immediately, unless it belongs to another user."""
        self._end()
        if self._command and (whole_machine or self._command.behaviour.on_term != "refuses"):
            self._command.end(KILLED)

    def stop(self, why: str, grace: float) -> None:
        self._stopped = self._stopped or why
        if self._command is None:
            self._end()
            return
        self._command.signal(TERMINATED)
        self.commands.loop.call_later(grace, self._command.signal, KILLED, context=NOBODYS)

    def refused(self) -> None:
        """The command cannot be killed."""
        if not (self._dead or self.lock.pids):
            self.lock.pids = (self.commands.next_pid(),)
            self.commands.history.note("command cannot be killed", deploy=self.lock.deploy)
            self._say(stuck=list(self.lock.pids), user="root")

    def command_ended(self, code: int) -> None:
        self._say(ended=code, stopped=self._stopped)
        self._end()

    def _take(self, order: dict[str, dict[str, object] | float]) -> None:
        if self._dead:
            return
        if "start" in order:
            self._start(order["start"])  # type: ignore[arg-type]
        elif "stop" in order:
            self.stop("deploys stopped it", order["stop"])  # type: ignore[arg-type]
        self._beat()

    def _start(self, order: dict[str, object]) -> None:
        if self._missed() or self._stopped:
            self._stopped = self._stopped or "a heartbeat was missed"
            self._say(refused=self._stopped)
            self._end()
            return
        self.lock.deploy = str(order["deploy"])
        self.lock.commands += 1
        self._command = Command(self, order)
        self._say(started=self.commands.next_pid())

    def _beat(self) -> None:
        if self._stopped is None and not self._missed():
            self._heard_at = self.commands.loop.time()

    def _missed(self) -> bool:
        return self.commands.loop.time() - self._heard_at > self._silence

    def _watch(self) -> None:
        if self._dead or self._closing or self._stopped:
            return
        if self._missed():
            self.stop(f"deploys was silent for {self._silence:g} s", self._grace)
            return
        left = self._heard_at + self._silence - self.commands.loop.time()
        self.commands.loop.call_later(max(left, 0) + 0.001, self._watch, context=NOBODYS)

    def _end(self) -> None:
        if not self._dead:
            self._dead = True
            self.lock.guards -= 1
            self._soon(self._gone)

    def _gone(self) -> None:
        self.stdout.feed_eof()
        self._ended.set()

    def _say(self, **fact: object) -> None:
        if not self._dead:
            self._soon(partial(self.stdout.feed_data, json.dumps(fact).encode() + b"\n"))

    def _soon(self, do: Callable[[], None]) -> None:
        """Call `do` in a moment, in order: a pipe does not reorder lines."""
        self._at = max(self._at + 1e-6, self.commands.moment())
        self.commands.loop.call_at(self._at, do, context=NOBODYS)


class Commands:
    """All guards and commands of a run. Commands get the planned behaviours in the order in which they start."""

    def __init__(self, loop: SimulatedLoop, history: History, behaviours: tuple[Behaviour, ...]) -> None:
        self.loop, self.history = loop, history
        self.befall: Callable[[str, Process], None] = lambda what, owner: None
        self.guards: list[Guard] = []
        self.locks: list[Lock] = []
        self.numbers: dict[str, dict[str, int]] = {}
        """By machine and server, the place of the lock in `locks`."""
        self._behaviours = behaviours
        self._started = 0
        self._pids = FIRST_PID

    def guard(self, owner: Process, silence: float, grace: float, lock: Lock) -> Guard:
        """A new guard for that process."""
        self.history.note("guard started", by=str(owner))
        self.guards = [guard for guard in self.guards if guard.busy]
        self.guards.append(Guard(self, owner, silence, grace, lock))
        return self.guards[-1]

    def locks_of(self, machine: str) -> list[Lock]:
        """All locks of that machine."""
        return [self.locks[number] for number in self.numbers.get(machine, {}).values()]

    def next_behaviour(self) -> Behaviour:
        """The behaviour of the next command. After the planned ones, commands pass."""
        self._started += 1
        return self._behaviours[self._started - 1] if self._started <= len(self._behaviours) else Behaviour(5.0)

    def next_pid(self) -> int:
        """A number that no real process has."""
        self._pids += 1
        return self._pids

    def moment(self) -> float:
        """A time shortly after now, as a pipe or a scheduler would cause."""
        return self.loop.time() + self.loop.chance.uniform(0.00005, 0.003)
