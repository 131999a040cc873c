"""A line between two parts, which can be made slow, silent, deaf on one side, or cut."""

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
"""The end of a line: `near` is who called, `far` is who was called."""


@dataclass(eq=False)
class _Call:
    near: socket.socket
    far: socket.socket
    dead: bool = False

    def close(self) -> None:
        for end in (self.near, self.far):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Proxy:
    """Listens at `port` of this machine and passes everything on, both ways, until it is told otherwise."""

    def __init__(self, target: tuple[str, int]) -> None:
        self._target = target
        self._open = threading.Event()
        self._open.set()
        self._calls: list[_Call] = []
        self._refusing = False
        self._delay = 0.0
        self.refused = 0
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def silence(self) -> None:
        """From now on nothing comes through, and nobody hangs up."""
        self._open.clear()

    def delay(self, seconds: float) -> None:
        """From now on everything comes that much later."""
        self._delay = seconds

    def half_close(self, side: Side) -> None:
        """Hang up towards one side. The other hears nothing of it, nor anything else; new calls come through."""
        for call in self._calls:
            call.dead = True
            with contextlib.suppress(OSError):
                getattr(call, side).shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Hang up, and from now on hang up on whoever calls."""
        self._refusing = True
        for call in self._calls:
            call.close()

    def mend(self) -> None:
        """What was held back comes through, and so does what follows; what one side hung up, the other hears now."""
        self._refusing, self._delay = False, 0.0
        self._open.set()
        for call in self._calls:
            if call.dead:
                call.close()

    def close(self) -> None:
        self.cut()
        self.mend()
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
                call = _Call(near, far)
                self._calls = [one for one in self._calls if one.near.fileno() >= 0 or one.far.fileno() >= 0] + [call]
                for source, sink in ((near, far), (far, near)):
                    threading.Thread(target=self._pump, args=(call, source, sink), daemon=True).start()

    def _pump(self, call: _Call, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._open.wait()
                if self._delay:
                    time.sleep(self._delay)
                if not call.dead:
                    sink.sendall(data)
        if not call.dead:
            with contextlib.suppress(OSError):
                sink.shutdown(socket.SHUT_RDWR)
        source.close()


@pytest.fixture
def make_proxy() -> Iterator[Callable[[str], Proxy]]:
    """Lines to where an address leads."""
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
    """A line to this run's broker."""
    return make_proxy(broker.url)


def through(proxy: Proxy, address: str) -> str:
    """That address, by way of that line."""
    return str(URL(address).with_host("127.0.0.1").with_port(proxy.port))
