"""Usher for deployment scripts: parse a deploy command's arguments, and ask the running services.

A deploy command gets a server and its issues, in one of two forms. `parse` understands both:

>>> import usher
>>> server, issues = usher.parse(["abc", "beta", "113", "111"])
>>> server.name, [str(issue) for issue in issues]
('beta.abc.wwts.com', ['ABC-111', 'ABC-113'])
>>> usher.full_form(server, issues)
('beta.abc.wwts.com', 'ABC-111', 'ABC-113')
>>> usher.short_form(server, issues)
('abc', 'beta', '111', '113')

`servers`, `waiting`, `send` and `withdraw` ask the running services over HTTP, at the addresses in the settings.
Every error is a `UsherError`, and its text says what to do. Importing this package does nothing and loads neither a
client nor a server: each function loads what it needs when it is called.
"""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

# Submodules of these names are loaded here, before the functions below, so that `usher.servers` is the function.
from usher.core.commands import full_form, short_form
from usher.core.errors import UsherError
from usher.core.issues import Issue
from usher.core.servers import Server

if TYPE_CHECKING:
    from usher.api.orders import OrderState
    from usher.api.types import ServerState
    from usher.core.messages import BackMessage
    from usher.settings import Settings

__all__ = [
    "Issue",
    "Server",
    "UsherError",
    "full_form",
    "load",
    "parse",
    "run",
    "send",
    "servers",
    "short_form",
    "waiting",
    "withdraw",
]


def load() -> "Settings":
    """Load the settings from `usher.toml` (or the file that `USHER_CONFIG` names), then from the environment.

    In a deploy, these are the settings of the Usher that runs it. Raises SettingsError.
    """
    from usher.settings import load

    return load()


def parse(arguments: Sequence[str]) -> tuple[Server, tuple[Issue, ...]]:
    """Parse a deploy command's arguments, in either form: `server, issues = usher.parse(sys.argv[1:])`.

    The issues are sorted by number, without duplicates. Raises SettingsError, BadCommand or BadMessage.
    """
    from usher.core.commands import parse_form

    return parse_form(arguments, load().catalogue)


def servers() -> "list[ServerState]":
    """Every server: its state, its pending issues, the command that would run now, and when its window closes.

    Raises SettingsError, or ServiceError if successes does not answer.
    """
    from usher.api.client import Client

    with Client(load()) as client:
        return client.servers()


def waiting(server: str) -> tuple[Issue, ...]:
    """The issues that are pending for a server, sorted, without duplicates: `usher.waiting("beta.abc.wwts.com")`.

    Raises SettingsError, or ServiceError if there is no such server or successes does not answer.
    """
    from usher.api.client import Client

    with Client(load()) as client:
        return client.server(server).waiting


def send(issue: str | Issue, status: str) -> "BackMessage":
    """Report a move: `usher.send("ABC-111", "beta")`. Returns the message, which the broker has confirmed.

    Raises SettingsError, or ServiceError if trackers refuses it or does not answer.
    """
    from usher.api.client import Client

    with Client(load()) as client:
        return client.send(str(issue), status)


def withdraw(server: str | Server | None, issues: Iterable[str | Issue], *, reason: str = "") -> "OrderState":
    """Withdraw issues from what is pending for a server: `usher.withdraw("beta.abc.wwts.com", ["ABC-111"])`.

    None as the server means all of them. A running deploy continues; for its issues, the order takes effect only if the
    deploy does not pass. Returns the order and its result: `messages` were withdrawn, `running` are being deployed, and
    `left` says why other issues were left. Its `state` is `requested` if it has not been carried out yet.

    Raises SettingsError, or ServiceError if successes refuses it or does not answer.
    """
    from usher.api.client import Client

    with Client(load()) as client:
        return client.withdraw(map(str, issues), None if server is None else str(server), reason=reason)


def run() -> int:
    """`usher up`: run all of Usher until Ctrl-C. Returns the exit code. Raises UsherError if it cannot start."""
    from usher.up import run

    return run(load())
