"""Our connections to the broker: opened together, lost together, opened again."""

import asyncio
import logging
import os
import random
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeVar

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import (
    AMQPConnectionError,
    AuthenticationError,
    ChannelInvalidStateError,
    ConnectionNotAllowed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from pydantic import SecretStr
from yarl import URL

from usher.errors import BrokerError, NotConfirmed, UsherError
from usher.settings.model import BrokerSettings

T = TypeVar("T")
log = logging.getLogger(__name__)

CONNECT_SECONDS = 10.0
CLOSE_SECONDS = 2.0
BLOCKED_LOOK = 0.1
"""Seconds between two looks at whether a connection that publishes is blocked."""

FIRST_PAUSE, LONGEST_PAUSE = 0.5, 15.0


class LinkLost(BrokerError):
    """the connection to the broker is gone"""


class Blocked(BrokerError):
    """the broker takes no messages now: it is short of memory or disk; it goes on by itself when it has some again"""


class Link:
    """Two connections, one to publish and one to consume: an alarm blocks the one that publishes, and must not cost
    the turns. When either goes, both do, and `lost` is set."""

    def __init__(self, publishing: AbstractConnection, consuming: AbstractConnection, address: str, name: str) -> None:
        self.publishing = publishing
        self.consuming = consuming
        self.address = address
        self.name = name
        self.lost = asyncio.Event()
        self.blocked = asyncio.Event()
        self._depending: list[asyncio.Event] = []
        for connection in (publishing, consuming):
            connection.close_callbacks.add(lambda *_: self.lose())

    def lose(self) -> None:
        """Give the link up: everything that depends on it ends."""
        for event in (self.lost, *self._depending):
            event.set()

    def depend(self, lost: asyncio.Event) -> None:
        """Have that event set, too, when the link is lost."""
        self._depending = [event for event in self._depending if not event.is_set()] + [lost]
        if self.lost.is_set():
            lost.set()

    async def published(self, publishing: Awaitable[T]) -> T:
        """What that gives; raises LinkLost if the link goes first, Blocked if the broker takes no messages now."""
        return await self.hold(first(publishing, self.blocked, Blocked))

    async def watch(self) -> None:
        """Keep `blocked` true, and log when it changes, until cancelled."""
        while True:
            blocked = not await self._takes()
            if blocked and not self.blocked.is_set():
                log.warning("%s", Blocked())
                self.blocked.set()
            elif self.blocked.is_set() and not blocked:
                log.info("the broker takes messages again")
                self.blocked.clear()
            await asyncio.sleep(BLOCKED_LOOK)

    async def _takes(self) -> bool:
        """Whether the publishing connection is ready at this moment; it is not while the broker blocks it."""
        if self.publishing.transport is None:
            return True  # it is lost, which is another matter
        ready = asyncio.ensure_future(self.publishing.transport.ready())
        await asyncio.wait((ready,), timeout=BLOCKED_LOOK)
        ready.cancel()
        return ready.done() and not ready.cancelled()

    async def hold(self, waiting: Awaitable[T]) -> T:
        """What that gives; raises LinkLost if the link goes first."""
        return await first(waiting, self.lost, LinkLost)


async def first(waiting: Awaitable[T], lost: asyncio.Event, error: type[UsherError]) -> T:
    """What `waiting` gives; if `lost` is set before, cancel it and raise `error`."""
    work = asyncio.ensure_future(waiting)
    loss = asyncio.ensure_future(lost.wait())
    try:
        await asyncio.wait((work, loss), return_when=asyncio.FIRST_COMPLETED)
        if work.done() and not work.cancelled():  # the client cancels what waits for a connection that goes
            return work.result()
        raise error
    finally:
        for task in (work, loss):
            if not task.done():
                task.cancel()
        await asyncio.gather(work, loss, return_exceptions=True)


@asynccontextmanager
async def connect(settings: BrokerSettings, service: str) -> AsyncIterator[Link]:
    """Both connections to the first broker of `[broker] url` that answers, closed at the end.

    Raises BrokerError, saying of each address what is wrong.
    """
    faults: list[str] = []
    name = f"{service}@{socket.gethostname()}:{os.getpid()}"
    heartbeat = round(settings.heartbeat.total_seconds())
    for url in settings.url:
        async with AsyncExitStack() as stack:
            try:
                publishing = await stack.enter_async_context(_connection(url, heartbeat, f"{name}/publish"))
                consuming = await stack.enter_async_context(_connection(url, heartbeat, name))
            except BrokerError as fault:
                faults.append(str(fault))
                continue
            link = Link(publishing, consuming, address(url), name)
            watching = asyncio.create_task(link.watch())
            try:
                yield link
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)
            return
    raise BrokerError(why="; ".join(faults) or "[broker] url is not set: name a broker, or let `usher up` run one")


async def keep(
    settings: BrokerSettings, service: str, session: Callable[[Link], Coroutine[None, None, None]], stop: asyncio.Event
) -> None:
    """Connect and run `session(link)`, again and again until `stop` is set; a session ends when its link is lost.

    What is wrong at the first connection is raised (BrokerError): a person is there to read it. Later it is logged
    once, however often it is tried again: after a pause that doubles, with jitter, up to 15 s, until a connection has
    lasted that long.
    """
    worked, pause, said = False, FIRST_PAUSE, ""
    while not stop.is_set():
        began, fault = time.monotonic(), BrokerError(why="the connection to the broker is lost")
        try:
            async with connect(settings, service) as link:
                log.info("connected to the broker at %s", link.address)
                said = ""
                await _alone(session(link))
        except (AMQPConnectionError, ChannelInvalidStateError):
            pass  # the client's own, when the link goes while a session is still being set up
        except BrokerError as error:
            if not worked and not isinstance(error, LinkLost | NotConfirmed):
                raise
            fault = error
        worked = True
        if stop.is_set():
            return
        if time.monotonic() - began > LONGEST_PAUSE:
            pause = FIRST_PAUSE
        # without what the client adds in brackets, which differs from one attempt to the next
        if (kind := str(fault).partition(" (")[0]) != said:
            log.warning("%s; connecting again until it works", fault)
            said = kind
        await _wait(stop, pause * random.uniform(0.7, 1.3))  # noqa: S311 - jitter, not a secret
        pause = min(pause * 2, LONGEST_PAUSE)


async def _alone(session: Coroutine[None, None, None]) -> None:
    """Run a session as a task of its own: a client that cancels it, as aiormq does with a connection that has gone
    silent, must not cancel the program. Raises LinkLost then."""
    task = asyncio.create_task(session)
    try:
        await asyncio.wait((task,))
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        raise
    if task.cancelled():
        raise LinkLost
    task.result()


async def closed(closing: Awaitable[None], seconds: float) -> None:
    """Wait so long for a channel or a connection to close. If it is gone it cannot, whatever the client raises."""
    task = asyncio.ensure_future(closing)
    await asyncio.wait((task,), timeout=seconds)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def address(url: SecretStr) -> str:
    """A broker's address without its password: `user@host:5672/vhost`."""
    parts = URL(url.get_secret_value())
    return f"{parts.user or 'guest'}@{parts.host}:{parts.port or _port(parts)}{parts.path}"


def _port(parts: URL) -> int:
    return 5671 if parts.scheme == "amqps" else 5672


@asynccontextmanager
async def _connection(url: SecretStr, heartbeat: int, name: str) -> AsyncIterator[AbstractConnection]:
    target = URL(url.get_secret_value()).update_query(heartbeat=str(heartbeat))
    try:
        connection = await aio_pika.connect(
            target, timeout=CONNECT_SECONDS, client_properties={"connection_name": name}
        )
    except (AuthenticationError, ProbableAuthenticationError):
        raise BrokerError(why=f"the broker refuses {address(url)}: wrong user or password in [broker] url") from None
    except ConnectionNotAllowed as error:
        raise BrokerError(why=f"the broker refuses {address(url)}: {error}; check the vhost in [broker] url") from None
    except InvalidFrameError:
        # the broker closes instead of opening the vhost, and the client does not read why
        raise BrokerError(
            why=f"the broker refuses {address(url)}: does the vhost exist, and may the user use it? See [broker] url"
        ) from None
    except (AMQPConnectionError, OSError, TimeoutError) as error:
        what = str(error) or type(error).__name__
        raise BrokerError(
            why=f"no broker answers at {address(url)} ({what}); start it, or correct [broker] url"
        ) from None
    try:
        yield connection
    finally:
        await closed(connection.close(), CLOSE_SECONDS)


async def _wait(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
