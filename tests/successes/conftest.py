"""Fixtures for successes: sample events, a ledger in a real file, and the service on a real broker."""

import asyncio
import secrets
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest
from aio_pika import Message
from pydantic import SecretStr
from sqlalchemy import select

from successes.ledger.ledger import Ledger
from successes.ledger.schema import deploys, messages
from successes.orders.service import Orders
from successes.service import Service
from usher.broker import topology
from usher.broker.consumer import Consumer, Delivery, consume
from usher.broker.journal import Journal, follow
from usher.broker.link import Link, connect, keep
from usher.broker.places import Memory
from usher.broker.publisher import Publisher
from usher.core.batches import Batch
from usher.core.events import DeployEnded, DeployInterrupted, DeployTaken, Event, Outcome
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.states import Change
from usher.runtime.clock import SystemClock
from usher.settings import Settings, load

BEGAN = 1_800_000_000_000
"""The time at which these tests begin (ms)."""


class Make:
    """Makes sample events. Messages are one second apart, and deploys take 12.3 s."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.clock = BEGAN

    def message(self, key: str, status: str = "beta") -> BackMessage:
        self.clock += 1000
        issue = Issue.parse(key)
        server = self.settings.catalogue.find(issue.project, status)
        return BackMessage.of(issue, server, source="jira", now=self.clock, moved_at=self.clock - 5)

    def taken(self, *messages: BackMessage) -> DeployTaken:
        self.clock += 1000
        return DeployTaken(
            deploy=secrets.token_hex(6),
            server=messages[0].server,
            holder="deploys@here:1",
            fence=self.clock,
            messages=tuple(message.id for message in messages),
            taken_at=self.clock,
        )

    def ended(
        self,
        *messages: BackMessage,
        outcome: Outcome = Outcome.PASSED,
        taken: DeployTaken | None = None,
        **more: object,
    ) -> DeployEnded:
        self.clock += 12_300
        batch = Batch.of(messages)
        passed = outcome is Outcome.PASSED
        facts = {
            "deploy": taken.deploy if taken else secrets.token_hex(6),
            "server": messages[0].server,
            "outcome": outcome,
            "reason": "exit code 0" if passed else "exit code 2",
            "exit_code": 0 if passed else 2,
            "rehearsed": False,
            "command": ("deploy", messages[0].server, *map(str, batch.issues)),
            "standing": batch.standing,
            "superseded": tuple(message.id for message in batch.superseded),
            "started_at": self.clock - 12_300,
            "ended_at": self.clock,
            "output": "what it printed\n",
            "truncated": False,
            "log": "/logs/it.log",
        }
        return DeployEnded(**{**facts, **more})


def rows(ledger: Ledger) -> dict[str, list[dict[str, object]]]:
    """All messages and deploys in the ledger."""
    with ledger.reading() as connection:
        return {
            table.name: [dict(row._mapping) for row in connection.execute(select(table).order_by(table.c.id))]
            for table in (messages, deploys)
        }


class World:
    """What a test uses beside the service: it publishes events, and sees the journal and `usher.parked`."""

    def __init__(
        self, settings: Settings, ledger: Ledger, link: Link, publisher: Publisher, parked: Consumer | None
    ) -> None:
        self.make = Make(settings)
        self.settings = settings
        self.ledger = ledger
        self.publisher = publisher
        self.seen: list[Event] = []
        self.journal: Journal
        self.service: Service
        self.orders: Orders
        self.link = link
        self._parked = parked

    def observe(self, event: Event, changes: tuple[Change, ...]) -> None:
        self.seen.append(event)

    async def published(self, *keys: str) -> list[BackMessage]:
        messages = [self.make.message(key) for key in keys]
        for message in messages:
            await self.publisher.message(message)
        return messages

    async def ended(self, *messages: BackMessage, outcome: Outcome = Outcome.PASSED, **more: object) -> DeployEnded:
        """Publish a deploy of these messages, from its taking to its result."""
        ended = self.make.ended(*messages, taken=await self.taken(*messages), outcome=outcome, **more)
        await self.result(ended)
        return ended

    async def taken(self, *messages: BackMessage) -> DeployTaken:
        taken = self.make.taken(*messages)
        await self.journal.append(taken)
        return taken

    async def interrupted(self, taken: DeployTaken) -> None:
        facts = {"deploy": taken.deploy, "server": taken.server, "at": taken.taken_at}
        await self.journal.append(DeployInterrupted(**facts, by="x", reason="gone"))

    async def waits_in(self, queue: str) -> set[str]:
        """The ids of all unconsumed messages in that queue. They stay there."""
        found: set[str] = set()
        async with consume(self.link, queue, "test:look", prefetch=1000) as consumer:
            with suppress(TimeoutError):
                while True:
                    async with asyncio.timeout(0.3):
                        found.add((await consumer.get()).message_id)
        return found

    async def result(self, ended: DeployEnded, *, journal: bool = True) -> None:
        await self.publisher.result(ended, ended.deploy)
        if journal:
            await self.journal.append(ended)

    async def handled(self) -> list[Delivery]:
        """Wait until all results so far are handled and the decisions about them are in the ledger.

        Returns what has been parked since the last call. Results are handled in order, so an unreadable marker is
        parked after all of them. Before the second marker, successes writes everything from the journal to the ledger.
        """
        return [*await self._until_a_marker_is_parked(), *await self._until_a_marker_is_parked()]

    async def _until_a_marker_is_parked(self) -> list[Delivery]:
        marker = secrets.token_hex(8)
        channel = await self.link.publishing.raw.channel()
        exchange = await channel.get_exchange(topology.RESULTS, ensure=False)
        await exchange.publish(Message(marker.encode()), "")
        await channel.close()
        assert self._parked, "this needs a world with watching=True"
        parked: list[Delivery] = []
        async with asyncio.timeout(20):
            while (delivery := await self._parked.get()).body != marker.encode():
                parked.append(delivery)
        await self.journal.barrier()
        return parked

    async def left(self) -> list[bytes]:
        """The results that nobody has acked. Call this when the service has stopped."""
        marker = self.make.ended(self.make.message("ABC-999"))
        await self.publisher.result(marker, marker.deploy)
        found: list[bytes] = []
        async with consume(self.link, topology.RESULTS, "test:left", prefetch=100) as consumer, asyncio.timeout(20):
            while marker.deploy.encode() not in (delivery := await consumer.get()).body:
                found.append(delivery.body)
        return found

    def states(self) -> dict[str, str]:
        """Each message's state, by its id."""
        return {row["id"]: row["state"] for row in rows(self.ledger)["messages"]}

    def rows(self) -> dict[str, list[dict[str, object]]]:
        return rows(self.ledger)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run the service in this block, and stop it cleanly at the end."""
        stop = asyncio.Event()
        self.service = Service(self.settings, self.ledger, stop, SystemClock())
        self.orders = Orders(self.settings, self.ledger, stop, SystemClock())
        sessions = (self.service.session, self.orders.session)
        keeping = [asyncio.create_task(keep(self.settings.broker, "successes", session, stop)) for session in sessions]
        try:
            yield
        finally:
            stop.set()
            await asyncio.gather(*keeping)


@pytest.fixture(scope="session")
def empty_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty ledger in SQLite. Copying it is a hundred times faster than running the migrations."""
    path = tmp_path_factory.mktemp("ledger") / "usher.db"
    Ledger.open(SecretStr(f"sqlite:///{path}")).close()
    return path


@pytest.fixture
def sqlite_url(tmp_path: Path, empty_ledger: Path) -> str:
    shutil.copy(empty_ledger, tmp_path / "ledger.db")
    return f"sqlite:///{tmp_path}/ledger.db"


POSTGRESQL = pytest.param("postgres_url", id="postgresql", marks=[pytest.mark.slow, pytest.mark.programs])


@pytest.fixture(params=[pytest.param("sqlite_url", id="sqlite"), POSTGRESQL])
def ledger_url(request: pytest.FixtureRequest) -> SecretStr:
    """The URL of a separate ledger for this test, in each kind of database."""
    return SecretStr(request.getfixturevalue(request.param))


@pytest.fixture
def world_ledger(sqlite_url: str) -> SecretStr:
    """The URL of the ledger in tests that also need a broker."""
    return SecretStr(sqlite_url)


@pytest.fixture
def settings(ledger_url: SecretStr) -> Settings:
    """Settings with a separate ledger for this test, and without a broker."""
    return load({"USHER_SUCCESSES__LEDGER": ledger_url.get_secret_value()})


@pytest.fixture
def make(settings: Settings) -> Make:
    return Make(settings)


@pytest.fixture
def read_rows() -> Callable[[Ledger], dict[str, list[dict[str, object]]]]:
    return rows


@pytest.fixture
def ledger(settings: Settings) -> Iterator[Ledger]:
    opened = Ledger.open(settings.successes.ledger)
    yield opened
    opened.close()


@pytest.fixture
async def make_world(make_settings: Callable[..., Settings]) -> AsyncIterator[Callable[..., Awaitable[World]]]:
    """Makes worlds with these settings: `await make_world(RETRIES__SOON="2")`. With `watching`, the world consumes
    `usher.parked`."""
    async with AsyncExitStack() as stack:

        async def make(*, watching: bool = True, **variables: str) -> World:
            settings = make_settings(**variables)
            ledger = Ledger.open(settings.successes.ledger)
            stack.callback(ledger.close)
            link = await stack.enter_async_context(connect(settings.broker, "test"))
            await topology.declare(link, settings.catalogue, settings.retries.every_delay)
            publisher = await Publisher.open(link, "test")
            parked = None
            if watching:
                consuming = consume(link, topology.PARKED, "test:parked", prefetch=1000)
                parked = await stack.enter_async_context(consuming)
            world = World(settings, ledger, link, publisher, parked)
            following = follow(link, publisher, SystemClock(), "test:journal", Memory(), world.observe)
            world.journal = await stack.enter_async_context(following)
            return world

        yield make


@pytest.fixture
async def world(make_world: Callable[..., Awaitable[World]]) -> World:
    """A world without retries."""
    return await make_world(RETRIES__DELAYS="[]")
