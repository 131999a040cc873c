"""Scopes: which servers a hold is for. A scope is a pattern over `status.project`, with `*` for any."""

from collections.abc import Iterable
from dataclasses import dataclass

from usher.core.errors import BadMessage
from usher.core.names import fold
from usher.core.servers import Server, Servers

ANY = "*"

EVERYTHING = f"{ANY}.{ANY}"
"""The scope that all servers match, also those that are added to the settings later."""

PATTERN = r"^[^.\s]{1,100}\.[^.\s]{1,100}$"


class UnknownScope(BadMessage):
    """{scope} is neither a server, a status nor a project in the settings, nor a status of a project ({example})"""


class UnclearScope(BadMessage):
    """{scope} is the name of a status and of a project; write {scope}.* for the status, *.{scope} for the project"""


@dataclass(frozen=True, slots=True)
class Scope:
    """The servers with this status and this project (both in lower case, or `*`)."""

    status: str = ANY
    project: str = ANY

    @classmethod
    def of(cls, pattern: str) -> "Scope":
        """The scope that an order stores, such as `beta.abc` or `*.abc`."""
        status, _, project = pattern.partition(".")
        return cls(status, project)

    def __str__(self) -> str:
        return f"{self.status}.{self.project}"

    def matches(self, place: str) -> bool:
        """Whether a server with this `status.project` is in the scope."""
        status, _, project = place.partition(".")
        return self.status in (ANY, status) and self.project in (ANY, project)

    def servers(self, servers: Iterable[Server]) -> tuple[Server, ...]:
        """Those of these servers that are in the scope."""
        return tuple(server for server in servers if self.matches(server.routing_key))

    @property
    def words(self) -> str:
        """The scope as people say it: `beta of ABC`, `every server of ABC`, `beta of every project`."""
        if self.project == ANY:
            return "every server" if self.status == ANY else f"{self.status} of every project"
        status = "every server" if self.status == ANY else self.status
        return f"{status} of {self.project.upper()}"


def parse_scope(text: str, servers: Servers) -> Scope:
    """The scope that a person means: a server's name, a status, a project, `beta of ABC`, or a pattern like `beta.abc`.

    Raises UnknownScope, or UnclearScope if a status and a project have the same name.
    """
    words = [fold(word) for word in text.split()]
    first, last = words[0] if words else "", words[-1] if words else ""
    if scope := _pattern(first, servers) if len(words) == 1 else None:
        return scope
    statuses, projects = set(servers.statuses), {server.project for server in servers}
    if len(words) == 1 and first in statuses and first in projects:
        raise UnclearScope(scope=first)
    if len(words) == 1 and first in statuses:
        scope = Scope(status=first)
    elif len(words) == 1 and first in projects:
        scope = Scope(project=first)
    elif len(words) in (2, 3) and first in statuses and last in projects and words[1:-1] in ([], ["of"]):
        scope = Scope(first, last)
    if scope is None or not scope.servers(servers):
        known = next(iter(servers), None)
        example = f"{known.status} of {known.project.upper()}" if known else "beta of ABC"
        raise UnknownScope(scope=ascii(text)[:80], example=example)
    return scope


def _pattern(word: str, servers: Servers) -> Scope | None:
    """The scope of a server's name, or of a pattern that a server matches."""
    for server in servers:
        if fold(server.name) == word:
            return Scope(server.status, server.project)
    scope = Scope.of(word)
    return scope if word.count(".") == 1 and scope.servers(servers) else None
