"""FastStream: each move goes to one quorum queue, and is confirmed before the answer."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request
from faststream.rabbit import QueueType, RabbitBroker, RabbitQueue
from server_of import NAMES, server_of

broker = RabbitBroker(os.environ["BROKER"])
QUEUES = {name: RabbitQueue(f"faststream.{name}", queue_type=QueueType.QUORUM, durable=True) for name in NAMES}


@asynccontextmanager
async def connected(_: FastAPI) -> AsyncIterator[None]:
    """Declare the queues, and keep the connection."""
    async with broker:
        for queue in QUEUES.values():
            await broker.declare_queue(queue)
        yield


app = FastAPI(lifespan=connected)


@app.post("/", status_code=202)
async def webhook(request: Request) -> dict[str, str]:
    """Publish the move, and answer once it is confirmed."""
    body = await request.json()
    key = body["issue"]["key"]
    await broker.publish({"issue": key}, QUEUES[server_of(body)], persist=True)
    return {"issue": key}
