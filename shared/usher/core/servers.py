"""Servers: the targets that the statuses of projects deploy to."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from usher.core.errors import BadMessage, NotDeployed, UnknownProject, UnknownServer, UnknownStatus
from usher.core.issues import Issue
from usher.core.names import fold, likely


@dataclass(frozen=True, slots=True, order=True)
class Server:
    """The deploy target of a status of a project: `beta` of `abc` is `beta.abc.wwts.com`. All three are lower case."""

    name: str
    status: str
    project: str

    @property
    def routing_key(self) -> str:
        """The routing key of its messages: `beta.abc`."""
        return f"{self.status}.{self.project}"

    def __str__(self) -> str:
        return self.name


class Servers:
    """Every server in the settings, and the tracker's words for their statuses.

    `words` maps each name or id of a status in the tracker to our name for it. `statuses` are our names, which people
    and scripts use.
    """

    def __init__(self, servers: Iterable[Server], words: Mapping[str, str], statuses: Iterable[str]) -> None:
        self._by_name = {server.name: server for server in sorted(servers)}
        self._by_key = {(server.project, server.status): server for server in self}
        self._by_folded_name = {fold(server.name): server for server in self}
        self._projects = {server.project for server in self}
        self._words = dict(words)
        self._meanings = {fold(word): status for word, status in words.items()}
        self.statuses = tuple(statuses)

    def __iter__(self) -> Iterator[Server]:
        return iter(self._by_name.values())

    def __len__(self) -> int:
        return len(self._by_name)

    def named(self, name: str) -> Server:
        """Find a server by its name, in any case. Raises UnknownServer."""
        try:
            return self._by_name.get(name) or self._by_folded_name[fold(name)]
        except KeyError:
            raise UnknownServer(name=ascii(name)[:80], known=", ".join(self._by_name)) from None

    def meant(self, issues: Collection[Issue], name: str | None = None) -> tuple[Server, ...]:
        """The servers that an order means: the named one, else those that deploy these issues, else all of them.

        Raises UnknownServer, or BadMessage for an issue that these servers don't deploy.
        """
        servers = tuple(self) if name is None else (self.named(name.strip()),)
        wanted = {issue.project.lower() for issue in issues}
        known = {server.project for server in servers}
        for issue in issues:
            if issue.project.lower() not in known:
                which = f"{servers[0]} does not deploy" if name else "no server deploys"
                raise BadMessage(why=f"{which} {issue.project}, so {issue} cannot be deployed there")
        return tuple(server for server in servers if not wanted or server.project in wanted)

    def status(self, *words: str | None) -> str | None:
        """The status that one of the tracker's names or ids means. None if the settings have none of them."""
        for word in words:
            if word and (status := self._meanings.get(fold(word))):
                return status
        return None

    def words(self, status: str) -> tuple[str, ...]:
        """The tracker's names and ids for a status, as they are written in the settings."""
        return tuple(word for word, meant in self._words.items() if meant == status)

    def statuses_of(self, project: str) -> tuple[str, ...]:
        """The statuses that deploy a project (any case)."""
        return tuple(server.status for server in self if server.project == project.lower())

    def find(self, project: str, status: str) -> Server:
        """The server of a project (any case) and a status (its own name, or a name or id in the tracker).

        Raises UnknownProject, UnknownStatus or NotDeployed, which say what to add to the settings.
        """
        own = fold(status)
        return self._of(project, own if own in self.statuses else self.status(status), [status])

    def reached(self, project: str, status_id: str | None, status_name: str | None) -> Server:
        """The server of a project (any case) and a status in the tracker, by its id, its name, or both.

        Raises UnknownProject, UnknownStatus or NotDeployed, which say what to add to the settings.
        """
        given = [word for word in (status_name, status_id) if word]
        return self._of(project, self.status(status_id, status_name), given)

    def _of(self, project: str, status: str | None, words: Collection[str]) -> Server:
        key = project.lower()
        if key not in self._projects:
            raise UnknownProject(project=project.upper(), key=key)
        if status is None:
            named = " ".join(ascii(word)[:60] for word in words)
            raise UnknownStatus(status=named, known=", ".join(self.statuses), key=likely(words, self.statuses))
        if (key, status) not in self._by_key:
            raise NotDeployed(project=key, status=status)
        return self._by_key[key, status]
