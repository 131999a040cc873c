"""Waiting for one of several things."""

import asyncio

import pytest

from usher.core.errors import UsherError
from usher.runtime.tasks import first


class Lost(UsherError):
    """lost"""


class Held(UsherError):
    """held"""


async def test_an_event_ends_a_wait_with_its_own_error_even_if_it_is_cleared_immediately() -> None:
    lost, held = asyncio.Event(), asyncio.Event()
    waiting = asyncio.create_task(first(asyncio.Event().wait(), (lost, Lost), (held, Held)))
    while not held._waiters:
        await asyncio.sleep(0)
    held.set()
    held.clear()
    with pytest.raises(Held):
        await waiting
