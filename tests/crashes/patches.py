"""Patches for the duration of a run: randomness, process ids and subprocesses come from the seed. For everything else
that it needs from the machine, the product uses ports."""

import asyncio
import logging
import os
import random
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from crashes.guards import Commands, Guard
from crashes.loop import OWNER
from crashes.process import Process

REAL_PID = os.getpid


def _owner() -> Process | None:
    owner = OWNER.get()
    return owner if isinstance(owner, Process) else None


def _pid() -> int:
    owner = _owner()
    return owner.pid if owner else REAL_PID()


class Faults(logging.Handler):
    """Collects the log lines of the product that contain an exception."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.said: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info and record.exc_info[1]:
            logging.Formatter().format(record)
            self.said.append(f"{_owner()}: {record.getMessage()}\n{record.exc_text}")


@contextmanager
def patched(seed: int, commands: Commands) -> Iterator[Faults]:
    """Run the block with these patches. Yields the exceptions that the product logs."""
    chance = random.Random(f"product {seed}")

    async def subprocess(program: str, *arguments: str, **_: object) -> Guard:
        owner = _owner()
        assert owner is not None
        silence, grace, lock = arguments[-3:]
        return commands.guard(owner, float(silence), float(grace), commands.locks[int(lock)])

    faults, root, before = Faults(), logging.getLogger(), random.getstate()
    with ExitStack() as stack:
        stack.enter_context(patch.object(secrets, "token_hex", lambda size: chance.randbytes(size).hex()))
        stack.enter_context(patch.object(asyncio, "create_subprocess_exec", subprocess))
        stack.enter_context(patch.object(os, "getpid", _pid))
        stack.enter_context(patch.object(socket, "gethostname", lambda: "node"))
        random.seed(f"module {seed}")
        stack.callback(random.setstate, before)
        root.addHandler(faults)
        stack.callback(root.removeHandler, faults)
        yield faults
