"""Celery: each move is a task in a quorum queue, and is confirmed before the answer."""

import os
from typing import Any

from celery import Celery
from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from kombu import Exchange, Queue
from server_of import NAMES, server_of

celery = Celery("tasks", broker=os.environ["BROKER"])
celery.conf.update(
    broker_transport_options={"confirm_publish": True},
    task_default_queue_type="quorum",
    task_ignore_result=True,
    task_queues=[
        Queue(f"celery.{name}", Exchange("celery.tasks"), f"celery.{name}", queue_arguments={"x-queue-type": "quorum"})
        for name in NAMES
    ],
)


@celery.task(name="deploy")
def deploy(_: str) -> None:
    """Never run: only the publishing is measured."""


app = FastAPI()


@app.post("/", status_code=202)
async def webhook(request: Request) -> dict[str, str]:
    """Publish the move, and answer once it is confirmed. Celery publishes in threads."""
    body: dict[str, Any] = await request.json()
    key = body["issue"]["key"]
    await run_in_threadpool(deploy.apply_async, (key,), queue=f"celery.{server_of(body)}")
    return {"issue": key}
