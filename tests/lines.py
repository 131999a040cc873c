"""A proxy for the connection between two parts, which can be slow, silent, closed on one side, or cut."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import pytest
from yarl import URL

from usher.local.choose import Broker

Side = Literal["near", "far"]
"""An end of a connection: `near` is the client, `far` is the server."""


@dataclass(eq=False)
class _Pair:
    near: socket.socket
    far: socket.socket
    dead: bool = False

    def close(self) -> None:
        for end in (self.near, self.far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Listens on `port` of `host`, and forwards everything in both directions until its behaviour is changed."""

    def __init__(self, target: tuple[str, int], host: str = "127.0.0.1") -> None:
        self._target = target
        self._open = threading.Event()
        self._open.set()
        self._pairs: list[_Pair] = []
        self._refusing = False
        self._delay = 0.0
        self.refused = 0
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listening = socket.create_server((host, 0), family=family)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """From now on, forward nothing and keep connections open."""
        self._open.clear()

    def delay(self, seconds: float) -> None:
        """From now on, forward everything that much later."""
        self._delay = seconds

    def half_close(self, side: Side) -> None:
        """Close one side of all connections. The other side notices nothing. New connections work."""
        for pair in self._pairs:
            pair.dead = True
            with contextlib.suppress(OSError):
                getattr(pair, side).shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Close all connections, and refuse new ones."""
        self._refusing = True
        for pair in self._pairs:
            pair.close()

    def restore(self) -> None:
        """Forward again, also what was held back. Half-closed connections are closed on the other side, too."""
        self._refusing, self._delay = False, 0.0
        self._open.set()
        for pair in self._pairs:
            if pair.dead:
                pair.close()

    def close(self) -> None:
        self.cut()
        self.restore()
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                try:
                    if self._refusing:
                        raise ConnectionRefusedError
                    far = socket.create_connection(self._target)
                except OSError:
                    self.refused += 1
                    near.close()
                    continue
                pair = _Pair(near, far)
                self._pairs = [one for one in self._pairs if one.near.fileno() >= 0 or one.far.fileno() >= 0] + [pair]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(pair, source, sink), daemon=True).start()

    def _pump(self, pair: _Pair, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                if self._delay:
                    time.sleep(self._delay)
                if not pair.dead:
                    sink.sendall(data)
        if not pair.dead:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)
        source.close()


@pytest.fixture
def make_proxy() -> Iterator[Callable[[str], Proxy]]:
    """Makes proxies to the host and port of an address."""
    made: list[Proxy] = []

    def make(address: str) -> Proxy:
        url = URL(address)
        made.append(Proxy((str(url.host), int(url.port or 5672))))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture
def proxy(broker: Broker, make_proxy: Callable[[str], Proxy]) -> Proxy:
    """A proxy to the broker of this test run."""
    return make_proxy(broker.url)


def through(proxy: Proxy, address: str) -> str:
    """That address, through that proxy."""
    return str(URL(address).with_host("127.0.0.1").with_port(proxy.port))
