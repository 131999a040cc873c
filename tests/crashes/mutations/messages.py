"""Bugs of messages: their identity, and whether the broker has them."""

import asyncio
import secrets
from dataclasses import replace
from typing import Any

from crashes.mutations.planting import Method, instead, mutation
from trackers.door import Door
from usher.core import messages


@mutation("2: the next attempt is acked as if it had been deployed with the first")
def retry_that_counts_as_the_same_message() -> None:
    def make(real: Method) -> Method:
        def again(self: Any, at: int, **more: Any) -> Any:
            return replace(real(self, at, **more), id=self.id)

        return again

    instead(messages.BackMessage, "again", make)


@mutation("1: the answer is `accepted`, but the broker never had the message")
def sender_answered_before_the_confirm() -> None:
    publishing: set[asyncio.Task[None]] = set()

    async def publish(self: Door, message: Any) -> None:
        if self.publisher:
            task = asyncio.ensure_future(self.publisher.message(message))
            task.add_done_callback(lambda done: done.cancelled() or done.exception())
            publishing.add(task)

    Door._publish = publish  # type: ignore[method-assign]


@mutation("6: the same move received again is another message")
def every_telling_a_message() -> None:
    messages.message_id = lambda identity, server: secrets.token_hex(16)
