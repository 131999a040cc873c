"""Chooses the broker: the one in the settings, else a private node, else a container, else an error."""

import asyncio
import fcntl
import logging
import os
import secrets
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from yarl import URL

from usher.broker.link import connect
from usher.core.errors import BrokerError
from usher.local.container import IMAGE, available, running_container
from usher.local.node import USER, installed, running_node
from usher.local.startup import Place
from usher.runtime.addresses import join
from usher.runtime.private import private_folder, write_private
from usher.settings import Settings
from usher.settings.sections import BrokerSettings

log = logging.getLogger(__name__)

Kind = Literal["auto", "node", "container"]
STOP_SECONDS = 8.0
KILL_SECONDS = 2.0
ADDRESSES = "addresses"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answers. `url` is its AMQP address, `console` the management console's, without a password.

    `what` describes it for people. `password_file` holds the password, if Usher created it.
    """

    url: str
    console: str
    what: str
    password_file: Path | None = None

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password of the console."""
        url = URL(self.url)
        return url.user or "guest", url.password or "guest"

    def url_of(self, vhost: str) -> str:
        """The address of another vhost of this broker."""
        return str(URL(self.url).with_path(f"/{vhost}"))


@contextmanager
def running_broker(
    settings: Settings,
    folder: Path,
    *,
    kind: Kind = "auto",
    lasting: bool = True,
    say: Callable[[str], None] = log.info,
) -> Iterator[Broker]:
    """The broker to use while the block runs. Do not call this inside an event loop.

    It is the one in `[broker] url` if that is set. Otherwise Usher starts one, with its data in `folder`, or in a
    volume named after it for a `lasting` container. `kind` selects a node or a container. Data survives a restart. A
    KeyboardInterrupt in the block kills it immediately. `say` gets a line before each slow step. Raises BrokerError.
    """
    if settings.broker.url:
        yield asyncio.run(_configured(settings.broker))
        return
    folder = folder.absolute()
    private_folder(folder)
    with _locked(folder, say) as lock:
        password = _password(folder / "password")
        running, what = _start(folder, password, lock, kind=kind, lasting=lasting, say=say)
        with running as place:
            url = URL.build(scheme="amqp", user=USER, password=password, host="127.0.0.1", port=place.amqp, path="/")
            broker = Broker(str(url), f"http://127.0.0.1:{place.console}", what, folder / "password")
            write_private(folder / ADDRESSES, f"{broker.url}\n{broker.console}\n")
            try:
                yield broker
            finally:
                (folder / ADDRESSES).unlink()


def running_in(folder: Path) -> Broker | None:
    """The broker that another Usher runs with its data in `folder`, if there is one."""
    try:
        url, console = (folder / ADDRESSES).read_text().splitlines()
    except (OSError, ValueError):
        return None
    return Broker(url, console, "the RabbitMQ that `usher up` runs", folder / "password")


def console_of(address: str) -> str:
    """The default address of a broker's management console: its AMQP port + 10000."""
    url = URL(address)
    secure = url.scheme == "amqps"
    port = (url.port or (5671 if secure else 5672)) + 10000
    return f"http{'s' if secure else ''}://{join(url.host or '', port)}"


async def _configured(settings: BrokerSettings) -> Broker:
    """The first broker in `[broker] url` that answers. Raises BrokerError if none does: there is no fallback."""
    faults = []
    for url in settings.url:
        try:
            async with connect(settings.model_copy(update={"url": (url,)}), "usher"):
                address = url.get_secret_value()
                return Broker(address, console_of(address), "the broker in [broker] url")
        except BrokerError as fault:
            faults.append(str(fault))
    raise BrokerError(why="; ".join(faults))


def _start(
    folder: Path, password: str, lock: int, *, kind: Kind, lasting: bool, say: Callable[[str], None]
) -> tuple[AbstractContextManager[Place], str]:
    if kind != "container" and (server := installed()):
        say(f"starting a private RabbitMQ ({server}), data in {folder}")
        return running_node(server, folder, password, lock), "a private RabbitMQ that Usher started"
    if kind != "node" and available():
        say(f"starting RabbitMQ in a container ({IMAGE}; it is downloaded the first time)")
        return running_container(folder, password, lock, lasting=lasting), "a RabbitMQ container that Usher started"
    raise BrokerError(
        why="there is no RabbitMQ to use: install it (`apt-get install rabbitmq-server` or `brew install rabbitmq`), "
        "or install and start Docker, or set [broker] url to a running broker"
    )


@contextmanager
def _locked(folder: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Lock the folder for this process, and make sure that no broker of a previous Usher is still running in it.

    Yields the descriptor of a locked file for the broker to inherit. The lock lasts while any of its processes lives.
    """
    with _opened(folder / "usher.lock") as own:
        if not _lock(own):
            raise BrokerError(why=f"another Usher runs its broker in {folder}; stop it, or start this one elsewhere")
        path = folder / "broker.lock"
        try:
            with _opened(path) as lock:
                _wait_for_previous(lock, say)
                yield lock
        finally:
            # a large process takes a moment to die
            with _opened(path) as lock:
                _until_locked(lock, KILL_SECONDS)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _wait_for_previous(lock: int, say: Callable[[str], None]) -> None:
    """Wait for a broker whose Usher was killed. It stops within seconds, or is killed. Its data is safe."""
    if _lock(lock):
        return
    say("waiting for the broker of a previous Usher to stop")
    if not _until_locked(lock, STOP_SECONDS):
        # the lock is held by a process of the group in the file, so the group id has not been reused
        os.killpg(int(os.pread(lock, 20, 0)), signal.SIGKILL)
        if not _until_locked(lock, KILL_SECONDS):
            raise BrokerError(why="the broker of a previous Usher does not stop; kill it, or start this one elsewhere")


def _until_locked(lock: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not _lock(lock):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def _lock(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _password(path: Path) -> str:
    """The private broker's password. It is created once, in a file that only its owner can read."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()
