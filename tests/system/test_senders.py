"""More clients than a process may open files, and bodies that never end: trackers still answers everybody else."""

import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING

import httpx
import psutil
import pytest

if TYPE_CHECKING:
    from conftest import Programs

DESCRIPTORS = 1024
"""What a process may usually open."""


@pytest.fixture
def usual_descriptors() -> Iterator[Callable[[], None]]:
    """Programs that this test starts have the usual limit. Calling it raises the limit of the test itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, hard))
    yield lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (min(4 * DESCRIPTORS, hard), hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_thousand_silent_clients_keep_nobody_out(
    make_programs: "Callable[..., Programs]", usual_descriptors: Callable[[], None]
) -> None:
    usher = make_programs()
    usher.start("trackers")
    usual_descriptors()
    url = httpx.URL(usher.url("trackers"))
    with ExitStack() as silent:
        for _ in range(DESCRIPTORS + 100):
            silent.enter_context(socket.create_connection((url.host, url.port)))
        assert httpx.get(url.join("/health"), timeout=20).status_code == 200
        usher.send("ABC-1", "beta")
    log = usher.log("trackers").splitlines()
    assert len([line for line in log if "closing those that send no complete request" in line]) > 0
    assert len(log) < 50


def test_unfinished_bodies_hold_a_limited_amount_of_memory(make_programs: "Callable[..., Programs]") -> None:
    usher = make_programs()
    usher.start("trackers")
    url = httpx.URL(usher.url("trackers"))
    process = psutil.Process(usher.running["trackers"].pid)
    before = process.memory_info().rss
    size = 24 * 1024 * 1024
    with ExitStack() as unfinished:
        for _ in range(12):
            client = unfinished.enter_context(socket.create_connection((url.host, url.port)))
            with suppress(ConnectionError):
                client.sendall(b"POST /webhooks/jira HTTP/1.1\r\nHost: usher\r\nContent-Length: %d\r\n\r\n" % size)
                client.sendall(b" " * (size - 1))
        usher.send("ABC-1", "beta")
        # all bodies together would be 288 MB
        assert process.memory_info().rss - before < 150 * 1024 * 1024
