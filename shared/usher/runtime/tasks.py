"""Waiting for one of several tasks. Tasks that are no longer needed are cancelled and awaited before returning."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from usher.core.errors import UsherError

T = TypeVar("T")


async def end(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel the tasks that are still running, and wait until all have ended. Their exceptions are ignored."""
    for task in tasks:
        if not task.done():
            task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


Ending = tuple[asyncio.Event, Callable[[], UsherError]]
"""An event that ends a wait, and the error to raise then: a class, or a function that returns one."""


async def first(waiting: Awaitable[T], *endings: Ending) -> T:
    """Return the result of `waiting`. If one of the events is set first, cancel it and raise the event's error."""
    work = asyncio.ensure_future(waiting)
    events = [asyncio.ensure_future(event.wait()) for event, _ in endings]
    try:
        await asyncio.wait((work, *events), return_when=asyncio.FIRST_COMPLETED)
        if work.done() and not work.cancelled():  # the client cancels tasks that wait for a lost connection
            return work.result()
        # an event may have been cleared again since it ended this wait
        ended = (error for wait, (event, error) in zip(events, endings, strict=True) if wait.done() or event.is_set())
        raise next(ended, endings[0][1])()
    finally:
        await end(work, *events)


async def until_first(*parts: Coroutine[Any, Any, object]) -> None:
    """Run all parts until one ends, then cancel the others. Raises the error of the part that ended."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await end(*tasks)
    for task in tasks:
        if task in done:
            task.result()


async def together(stop: asyncio.Event, *parts: Coroutine[None, None, None]) -> None:
    """Run all parts. When one ends, set `stop` and wait for the others. Raises the first error, in the parts' order."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        stop.set()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result


@asynccontextmanager
async def beside(work: Coroutine[Any, Any, object]) -> "AsyncIterator[asyncio.Task[object]]":
    """Run `work` as a task while the block runs. Leaving the block cancels it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        await end(task)
