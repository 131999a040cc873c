"""All settings. `usher/example.toml` explains each of them."""

import re
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from usher.core.names import fold
from usher.core.servers import Server, Servers
from usher.settings.kinds import ProjectKey, StatusKey
from usher.settings.sections import (
    BrokerSettings,
    DeploysSettings,
    HttpSettings,
    JiraSettings,
    ProjectSettings,
    RetriesSettings,
    Section,
    ServersSettings,
    StatusSettings,
    SuccessesSettings,
    TrackersSettings,
    WindowSettings,
)

WELL_KNOWN_STATUSES = ("stage", "test", "beta")

_SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)


class Settings(Section):
    """All settings. `source` is where they come from, for error messages."""

    source: Literal["example"] | str = "example"
    broker: BrokerSettings = BrokerSettings()
    projects: Annotated[dict[ProjectKey, ProjectSettings], Field(min_length=1)]
    statuses: dict[StatusKey, StatusSettings] = Field(default_factory=dict)
    servers: ServersSettings = ServersSettings()
    deploys: DeploysSettings = DeploysSettings()
    window: WindowSettings = WindowSettings()
    retries: RetriesSettings = RetriesSettings()
    jira: JiraSettings = JiraSettings()
    web: HttpSettings = HttpSettings()
    trackers: TrackersSettings = TrackersSettings()
    successes: SuccessesSettings = SuccessesSettings()

    @cached_property
    def catalogue(self) -> Servers:
        """Every server, and Jira's words for the statuses."""
        return Servers(self._servers(), self._words(), self.known_statuses)

    @property
    def known_statuses(self) -> tuple[str, ...]:
        """The statuses that can deploy."""
        return tuple(dict.fromkeys([*WELL_KNOWN_STATUSES, *self.statuses]))

    def _words(self) -> dict[str, str]:
        """Jira's names and ids, each with the status that it means."""
        words: dict[str, str] = {}
        folded: dict[str, str] = {}
        for status in self.known_statuses:
            jira = self.statuses.get(status, StatusSettings()).jira
            for word in (status,) if jira is None else jira:
                if folded.setdefault(fold(word), status) != status:
                    both = f"{folded[fold(word)]} and {status}"
                    raise ValueError(f'"{fold(word)}" means both {both}; list it under one of them')
                words[word.strip()] = status
        return words

    def _servers(self) -> list[Server]:
        found: dict[str, Server] = {}
        for project, settings in self.projects.items():
            for status in settings.statuses if settings.statuses is not None else self.known_statuses:
                if status not in self.known_statuses:
                    raise ValueError(f"[projects.{project}] statuses: unknown status {status}; add [statuses.{status}]")
                name = _fill(self.servers.name, status, project)
                server = Server(name, status, project)
                if found.setdefault(name, server) != server:
                    raise ValueError(
                        f'[servers] name: {found[name].routing_key} and {server.routing_key} are both "{name}"; '
                        "use {status} and {project} so that the names differ"
                    )
        return list(found.values())

    @model_validator(mode="after")
    def _check_retries(self) -> Self:
        known = {*self.known_statuses, *(server.name for server in self.catalogue)}
        if unknown := next((name for name in self.retries.of if name not in known), None):
            raise ValueError(f"[retries.of] {unknown} is neither a status nor a server in these settings")
        return self


def _fill(pattern: str, status: str, project: str) -> str:
    name = pattern.replace("{status}", status).replace("{project}", project)
    if not _SERVER_NAME.fullmatch(name):
        says = f"{name!r} is not a valid server name; use letters, digits, dots and dashes, at most 200"
        raise ValueError(f"[servers] name: {says}")
    return name
