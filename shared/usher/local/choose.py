"""One place chooses the broker: the one the settings name, else a private node, else a container, else an error."""

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
from usher.local.node import USER, Ports, installed, running_node, write_private
from usher.settings import Settings
from usher.settings.sections import BrokerSettings

log = logging.getLogger(__name__)

Kind = Literal["auto", "node", "container"]
LEFT_BEHIND_SECONDS = 8.0
GONE_SECONDS = 2.0
ADDRESSES = "addresses"


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answers. `url` is its AMQP address, `console` the management console's, without a password.

    `what` says which it is, for people; `password_file` is where the password is, if Usher made it.
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
    """The broker to use, for as long as the block runs. Not from inside an event loop.

    `[broker] url` if it is set; else one that Usher starts (`kind` insists on one way) with its data in `folder`, or,
    for a container that is `lasting`, in a volume named after it. Data survive a stop and a start. A block left by
    KeyboardInterrupt kills it at once. `say` gets one line before anything slow. Raises BrokerError.
    """
    if settings.broker.url:
        yield asyncio.run(_named(settings.broker))
        return
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _locked(folder, say) as lock:
        password = _password(folder / "password")
        running, what = _start(folder, password, lock, kind=kind, lasting=lasting, say=say)
        with running as ports:
            url = URL.build(scheme="amqp", user=USER, password=password, host="127.0.0.1", port=ports.amqp, path="/")
            broker = Broker(str(url), f"http://127.0.0.1:{ports.console}", what, folder / "password")
            write_private(folder / ADDRESSES, f"{broker.url}\n{broker.console}\n")
            try:
                yield broker
            finally:
                (folder / ADDRESSES).unlink()


def running_in(folder: Path) -> Broker | None:
    """The broker that another Usher runs with its data in that folder, if one does."""
    try:
        url, console = (folder / ADDRESSES).read_text().splitlines()
    except (OSError, ValueError):
        return None
    return Broker(url, console, "the RabbitMQ that `usher up` runs", folder / "password")


def console_of(address: str) -> str:
    """Where the management console of a broker listens unless somebody moved it: 10000 above its AMQP port."""
    url = URL(address)
    secure = url.scheme == "amqps"
    return f"http{'s' if secure else ''}://{url.host}:{(url.port or (5671 if secure else 5672)) + 10000}"


async def _named(settings: BrokerSettings) -> Broker:
    """The first broker of `[broker] url` that answers. Raises BrokerError: there is no fallback."""
    faults = []
    for url in settings.url:
        try:
            async with connect(settings.model_copy(update={"url": (url,)}), "usher"):
                named = url.get_secret_value()
                return Broker(named, console_of(named), "the broker that [broker] url names")
        except BrokerError as fault:
            faults.append(str(fault))
    raise BrokerError(why="; ".join(faults))


def _start(
    folder: Path, password: str, lock: int, *, kind: Kind, lasting: bool, say: Callable[[str], None]
) -> tuple[AbstractContextManager[Ports], str]:
    if kind != "container" and (server := installed()):
        say(f"starting a private RabbitMQ ({server}), data in {folder}")
        return running_node(server, folder, password, lock), "a private RabbitMQ that Usher started"
    if kind != "node" and available():
        say(f"starting RabbitMQ in a container ({IMAGE}; the first time it is downloaded)")
        return running_container(folder, password, lock, lasting=lasting), "a RabbitMQ container that Usher started"
    raise BrokerError(
        why="there is no RabbitMQ to use: install it (`apt-get install rabbitmq-server` or `brew install rabbitmq`), "
        "or install and start Docker, or name a running one in [broker] url"
    )


@contextmanager
def _locked(folder: Path, say: Callable[[str], None]) -> Iterator[int]:
    """Hold the folder for this process, and make sure that no broker of a former one is left in it.

    Yields the descriptor of a locked file, for the broker to inherit: the lock lasts as long as any of it lives.
    """
    with _opened(folder / "usher.lock") as ours:
        if not _lock(ours):
            raise BrokerError(why=f"another Usher runs its broker in {folder}; stop it, or start this one elsewhere")
        path = folder / "broker.lock"
        try:
            with _opened(path) as lock:
                _wait_for_former(lock, say)
                yield lock
        finally:
            # a large process takes a moment to die
            with _opened(path) as lock:
                _until_locked(lock, GONE_SECONDS)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        yield file
    finally:
        os.close(file)


def _wait_for_former(lock: int, say: Callable[[str], None]) -> None:
    """A broker whose Usher was killed stops by itself in seconds; if it cannot, it is killed. Its data are safe."""
    if _lock(lock):
        return
    say("waiting for the broker of a former Usher to stop")
    if not _until_locked(lock, LEFT_BEHIND_SECONDS):
        # whoever holds the lock is in the group that it names, so the number is still theirs
        os.killpg(int(os.pread(lock, 20, 0)), signal.SIGKILL)
        if not _until_locked(lock, GONE_SECONDS):
            raise BrokerError(why="the broker of a former Usher cannot be stopped; end it, or start this one elsewhere")


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
    """The private broker's password, made once and kept where only its owner can read it."""
    if not path.exists():
        write_private(path, secrets.token_urlsafe(24))
    return path.read_text()
