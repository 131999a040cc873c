"""The event loop of services that handle many requests."""

import asyncio
import sys

import pytest

from usher.runtime.loops import run_fast


async def loop() -> str:
    return type(asyncio.get_running_loop()).__module__


def test_it_is_uvloop_if_that_is_installed() -> None:
    assert run_fast(loop()) == "uvloop"


def test_it_is_asyncio_s_own_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run_fast(loop()).startswith("asyncio.")
