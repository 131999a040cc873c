"""The connections to the broker. They are opened together, lost together, and opened again."""

import asyncio
import logging
import os
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from pydantic import SecretStr

from usher.broker import amqp
from usher.broker.connecting import address
from usher.broker.port import ChannelClosed, Connection, Dial, Gone, Loss
from usher.core.errors import BrokerError, NotConfirmed, UsherError
from usher.runtime.tasks import beside, end, first
from usher.settings.sections import BrokerSettings

T = TypeVar("T")
log = logging.getLogger(__name__)

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0


class LinkLost(Gone):
    """the connection to the broker is lost"""


class StartAgain(UsherError):
    """the session starts again on a new connection"""


class Blocked(BrokerError):
    """the broker accepts no messages: it is short of memory or disk space; publishing resumes when the alarm clears"""


class _Publishes(asyncio.Event):
    """Publishes that wait for their confirmations. Setting it ends them all.

    A wait costs one task, where two nested calls of `first` need four. Every message is published through here.
    """

    def __init__(self) -> None:
        super().__init__()
        self._tasks: set[asyncio.Future[Any]] = set()

    def set(self) -> None:
        super().set()
        self.end()

    def end(self) -> None:
        """End those that wait now."""
        for task in self._tasks:
            task.cancel()

    async def run(self, publishing: Awaitable[T], why: Callable[[], BrokerError]) -> T:
        """Wait for a publish. If it is ended, or if the client cancels it, raise `why()`."""
        task = asyncio.ensure_future(publishing)
        self._tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if caller and caller.cancelling():
                raise
            raise why() from None
        finally:
            self._tasks.discard(task)


class Link:
    """Two connections, one to publish and one to consume: an alarm blocks the publishing one, which must not cost the
    turns. When either is lost, both are, and `lost` is set."""

    def __init__(self, publishing: Connection, consuming: Connection, address: str, name: str) -> None:
        self.publishing = publishing
        self.consuming = consuming
        self.address = address
        self.name = name
        self.lost = Loss()
        self.blocked = asyncio.Event()
        self.working = False
        self._publishes = _Publishes()
        self.lost.also(self._publishes)
        for connection in (publishing, consuming):
            connection.closed.also(self.lost)

    def works(self) -> None:
        """Record, and log once, that everything on the broker is declared: a session can do its work."""
        if not self.working:
            self.working = True
            log.info("connected to the broker at %s", self.address)

    async def published(self, publishing: Coroutine[Any, Any, T]) -> T:
        """Wait for a publish. Raises LinkLost if the link is lost, or Blocked if the broker accepts no messages."""
        if self.lost.is_set() or self.blocked.is_set():
            publishing.close()
            raise self._why_not()
        return await self._publishes.run(publishing, self._why_not)

    def _why_not(self) -> BrokerError:
        return Blocked() if self.blocked.is_set() and not self.lost.is_set() else LinkLost()

    async def watch(self) -> None:
        """Keep `blocked` up to date and log its changes, until cancelled."""
        while True:
            await self.publishing.blocked()
            log.warning("%s", Blocked())
            self.blocked.set()
            self._publishes.end()
            await self.publishing.unblocked()
            log.info("the broker accepts messages again")
            self.blocked.clear()

    async def hold(self, waiting: Awaitable[T]) -> T:
        """Wait for a result. Raises LinkLost if the link is lost first."""
        return await first(waiting, (self.lost, LinkLost))


@asynccontextmanager
async def connect(settings: BrokerSettings, service: str, dial: Dial = amqp.dial) -> AsyncIterator[Link]:
    """Open both connections to the first broker in `[broker] url` that answers. They are closed at the end.

    Raises BrokerError, which says what is wrong with each address.
    """
    faults: list[str] = []
    name = f"{service}@{socket.gethostname()}:{os.getpid()}"
    heartbeat = round(settings.heartbeat.total_seconds())
    for url in settings.url:
        async with AsyncExitStack() as stack:
            try:
                publishing = await stack.enter_async_context(_connection(dial, url, heartbeat, f"{name}/publish"))
                consuming = await stack.enter_async_context(_connection(dial, url, heartbeat, name))
            except BrokerError as fault:
                faults.append(str(fault))
                continue
            link = Link(publishing, consuming, address(url), name)
            async with beside(link.watch()):
                yield link
            return
    raise BrokerError(why="; ".join(faults) or "[broker] url is not set; set it, or let `usher up` run a broker")


async def keep(
    settings: BrokerSettings,
    service: str,
    session: Callable[[Link], Coroutine[None, None, None]],
    stop: asyncio.Event,
    dial: Dial = amqp.dial,
) -> None:
    """Connect and run `session(link)`, repeatedly until `stop` is set. A session ends when its link is lost.

    A session calls `link.works()` once it can do its work, and raises StartAgain if it has said why it ends. An error
    at the first connection is raised (BrokerError), because a person is there to read it. Later errors are logged, a
    repeated one only once. The pause between attempts doubles, with jitter, up to 15 s. It is reset once a connection
    has lasted that long.
    """
    worked, pause, said, time = False, FIRST_PAUSE, "", asyncio.get_running_loop().time
    while not stop.is_set():
        began = time()
        fault: BrokerError | None = BrokerError(why="the connection to the broker is lost")
        try:
            async with connect(settings, service, dial) as link:
                try:
                    await _alone(session(link))
                finally:
                    said = "" if link.working else said
        except StartAgain:
            fault = None
        except BrokerError as error:
            # a connection that is lost while its session starts did exist
            known = isinstance(error, Gone | NotConfirmed) and not isinstance(error, ChannelClosed)
            if not (worked or known or stop.is_set()):
                raise
            fault = error
        worked = True
        if stop.is_set():
            return
        if time() - began > LONGEST_PAUSE:
            pause = FIRST_PAUSE
        # without the client's details in brackets, which differ between attempts
        if fault and (kind := str(fault).partition(" (")[0]) != said:
            log.warning("%s; connecting again until it works", fault)
            said = kind
        await _wait(stop, pause * random.uniform(0.7, 1.3))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, LONGEST_PAUSE)


async def _alone(session: Coroutine[None, None, None]) -> None:
    """Run a session as its own task. When a connection goes silent, aiormq cancels the current task, which must not be
    the program. Raises LinkLost then."""
    task = asyncio.create_task(session)
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        await end(task)
        raise
    if task.cancelled():
        raise LinkLost
    task.result()


@asynccontextmanager
async def _connection(dial: Dial, url: SecretStr, heartbeat: int, name: str) -> AsyncIterator[Connection]:
    connection = await dial(url, heartbeat=heartbeat, name=name)
    try:
        yield connection
    finally:
        await connection.close()


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
