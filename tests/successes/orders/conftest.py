"""A running successes that accepts orders."""

import pytest

from ordering import asking


@pytest.fixture
async def world(make_world):
    return await make_world(RETRIES__DELAYS="[]")


@pytest.fixture
async def ask(world):
    async with asking(world) as asked:
        yield asked
