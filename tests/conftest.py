"""What tests share: a real broker, a fresh vhost of it per test, and settings that use it."""

import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from usher.broker.choose import Broker, running_broker
from usher.settings import Settings, load

MakeSettings = Callable[..., Settings]


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """The broker of this test run, chosen as Usher chooses it: `[broker] url`, a private node, a container."""
    with running_broker(load(), tmp_path_factory.mktemp("broker")) as chosen:
        yield chosen


@pytest.fixture
def vhost_url(broker: Broker) -> Iterator[str]:
    """The address of a vhost of this test's own."""
    name = f"test-{secrets.token_hex(6)}"
    with httpx.Client(base_url=broker.console, auth=broker.credentials, timeout=30) as console:
        console.put(f"/api/vhosts/{name}").raise_for_status()
        yield broker.url_of(name)
        console.delete(f"/api/vhosts/{name}").raise_for_status()


@pytest.fixture
def make_settings(vhost_url: str, tmp_path: Path) -> MakeSettings:
    """Settings on this test's vhost, short spans, free ports; more as keywords: `DEPLOYS__PARALLEL="2"`."""

    def make(**variables: str) -> Settings:
        defaults = {
            "BROKER__URL": vhost_url,
            "BROKER__HEARTBEAT": "1s",
            "WINDOW__QUIET": "200ms",
            "WINDOW__CAP": "1s",
            "WINDOW__FLOOR": "0s",
            "DEPLOYS__LOGS": str(tmp_path / "deploys"),
            "DEPLOYS__SILENCE": "1s",
            "DEPLOYS__GRACE": "500ms",
            "TRACKERS__PORT": "0",
            "DEPLOYS__PORT": "0",
            "SUCCESSES__PORT": "0",
            "SUCCESSES__LEDGER": f"sqlite:///{tmp_path}/usher.db",
        }
        return load({f"USHER_{key}": value for key, value in {**defaults, **variables}.items()})

    return make
