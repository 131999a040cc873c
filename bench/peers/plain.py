"""aio-pika without anything else: each move goes to two quorum queues, and is confirmed before the answer."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aio_pika
from fastapi import FastAPI, Request
from server_of import NAMES, server_of

QUORUM = {"x-queue-type": "quorum"}


@asynccontextmanager
async def connected(app: FastAPI) -> AsyncIterator[None]:
    """Declare two queues per server, and keep the connection."""
    async with await aio_pika.connect(os.environ["BROKER"]) as connection:
        channel = await connection.channel(publisher_confirms=True)
        app.state.exchange = await channel.declare_exchange("plain", aio_pika.ExchangeType.TOPIC, durable=True)
        for name in NAMES:
            for copy in ("first", "second"):
                queue = await channel.declare_queue(f"plain.{name}.{copy}", durable=True, arguments=dict(QUORUM))
                await queue.bind(app.state.exchange, name)
        yield


app = FastAPI(lifespan=connected)


@app.post("/", status_code=202)
async def webhook(request: Request) -> dict[str, str]:
    """Publish the move, and answer once it is confirmed."""
    body = await request.json()
    key, server = body["issue"]["key"], server_of(body)
    message = aio_pika.Message(f'{{"issue":"{key}"}}'.encode(), delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
    await request.app.state.exchange.publish(message, server)
    return {"issue": key}
