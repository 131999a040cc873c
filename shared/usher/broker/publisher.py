"""Publishing: a message counts as published when the broker has confirmed it."""

import asyncio
import secrets
from collections.abc import Mapping

from usher.broker import topology
from usher.broker.link import Link
from usher.broker.port import Channel, Envelope
from usher.core.errors import BrokerError, NotConfirmed
from usher.core.events import Event, encode
from usher.core.ignored import IgnoredMove
from usher.core.messages import BackMessage
from usher.core.orders import Order
from usher.core.versions import NEEDS

CONFIRM_SECONDS = 5.0
PROBE_SECONDS = 3.0

PUBLICATION = "publication"
"""The header with a unique id of this publication of a message or an order."""
FORMER_PUBLICATION = "telling"
"""Its name before version 0.11."""


class Publisher:
    """Publishes on a channel with confirms. A method returns when the broker has confirmed, or raises NotConfirmed."""

    def __init__(self, link: Link, channel: Channel, app: str) -> None:
        self._link = link
        self._channel = channel
        self._app = app
        self._probe: asyncio.Task[bool] | None = None

    @classmethod
    async def open(cls, link: Link, app: str) -> "Publisher":
        """Open a publisher on that link. `app` is the name of the service, for the messages' `app_id`.

        If its channel closes, the link is lost. The next session declares missing queues again.
        """
        channel = await link.publishing.channel(confirms=True)
        channel.closed.also(link.lost)
        return cls(link, channel, app)

    async def message(self, message: BackMessage) -> None:
        """Publish a message to its server's queue and to the journal."""
        # the message id is the same each time it is published; the header tells the journal entries apart
        await self._event(
            topology.MESSAGES, message.place, message, message.id, headers={PUBLICATION: secrets.token_hex(8)}
        )

    async def order(self, order: Order) -> None:
        """Publish an order to the orders queue and to the journal."""
        headers = {PUBLICATION: secrets.token_hex(8)}
        await self._event(topology.ORDERS, order.kind.removeprefix("order."), order, order.id, headers=headers)

    async def event(self, event: Event, message_id: str) -> None:
        """Write an event to the journal."""
        await self._event(topology.FACTS, event.kind, event, message_id)

    async def checkpoint(self, body: bytes, needs: int) -> None:
        """Write an encoded checkpoint to the journal, for readers that understand journal version `needs`."""
        await self._publish(
            topology.FACTS,
            "journal.checkpoint",
            Envelope(
                body,
                message_id=secrets.token_hex(16),
                type="journal.checkpoint/1",
                content_type="application/json",
                content_encoding="gzip",
                headers=_needing(needs),
                app_id=self._app,
            ),
        )

    async def result(self, event: Event, message_id: str) -> None:
        """Publish a result to the reply queue."""
        await self._event(topology.RESULTS, "", event, message_id)

    async def retry(self, message: BackMessage, delay: int, expires: int) -> None:
        """Publish a message to the retry queue of that delay (ms). It returns after `expires` ms, at most `delay`."""
        await self._event(topology.retry_queue(delay), "", message, message.id, expires=expires)

    async def ignored(self, move: IgnoredMove) -> None:
        """Publish an ignored move to the queue from which successes records it."""
        await self._event(topology.IGNORED, "", move, move.id)

    async def park(
        self,
        body: bytes,
        message_id: str,
        reason: str,
        *,
        deploy: str | None = None,
        outcome: str | None = None,
        output: str | None = None,
    ) -> None:
        """Publish a body to `usher.parked`, with these facts as headers. Keep `output` short: headers must be small."""
        facts = {"reason": reason[:2000], "deploy": deploy, "outcome": outcome, "output": output}
        await self._publish(
            topology.PARKED,
            "",
            Envelope(
                body,
                message_id=message_id,
                headers={name: fact for name, fact in facts.items() if fact},
                content_type="application/json",
                app_id=self._app,
            ),
        )

    async def can_publish(self) -> bool:
        """Whether the broker confirms a message within three seconds."""
        # one probe at a time, however many callers ask
        if self._probe is None or self._probe.done():
            self._probe = asyncio.create_task(self._ask())
        await asyncio.wait((self._probe,), timeout=PROBE_SECONDS)
        return self._probe.done() and not self._probe.cancelled() and self._probe.result()

    async def _ask(self) -> bool:
        try:
            await self._publish(topology.PROBE, "", Envelope(b"", message_id=secrets.token_hex(16)), mandatory=False)
        except NotConfirmed:
            return False
        return True

    async def _event(
        self,
        exchange: str,
        key: str,
        event: Event | IgnoredMove,
        message_id: str,
        *,
        expires: int | None = None,
        headers: Mapping[str, object] | None = None,
    ) -> None:
        await self._publish(
            exchange,
            key,
            Envelope(
                encode(event),
                message_id=message_id,
                type=f"{event.kind}/{event.v}",
                content_type="application/json",
                correlation_id=getattr(event, "deploy", None),
                expires=expires,
                headers={**_needing(event.needs), **(headers or {})},
                reply_to=topology.RESULTS,
                app_id=self._app,
            ),
        )

    async def _publish(self, exchange: str, key: str, envelope: Envelope, *, mandatory: bool = True) -> None:
        what = f"{envelope.type or 'a message'} {envelope.message_id}"
        try:
            async with asyncio.timeout(CONFIRM_SECONDS):
                await self._link.published(self._channel.publish(exchange, key, envelope, mandatory=mandatory))
        except TimeoutError:
            raise NotConfirmed(what=what, why=f"no answer in {CONFIRM_SECONDS:.0f} s") from None
        except BrokerError as error:
            raise NotConfirmed(what=what, why=error) from None


def _needing(needs: int) -> dict[str, object]:
    """The header for entries that only newer readers understand."""
    return {NEEDS: needs} if needs > 1 else {}
