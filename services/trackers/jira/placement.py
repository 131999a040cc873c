"""Which server a move leads to; if none, the lines in the settings that would change that."""

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

from trackers.jira.bodies import shown
from usher.core.errors import NotDeployed, UnknownProject
from usher.core.issues import Issue
from usher.core.servers import Server, Servers, fold

_STATUS_KEY = re.compile(r"[a-z][a-z0-9_-]{0,39}", re.ASCII)


@dataclass(frozen=True, slots=True)
class NoServer:
    """Why no server deploys a move; `accept` are the lines in the settings that would accept it, if there are any."""

    reason: str
    accept: str | None


def place(issue: Issue, status_id: str | None, status_name: str | None, servers: Servers) -> Server | NoServer:
    """The server to which the issue is deployed in that status. The tracker gives an id, a name, or both."""
    key = issue.project.lower()
    mine = {server.status: server for server in servers if server.project == key}
    if not mine:
        return NoServer(str(UnknownProject(project=issue.project, key=key)), f"[projects.{key}]")
    meant = servers.status(status_id, status_name)
    if meant is None:
        return _unknown_status([word for word in (status_name, status_id) if word], servers)
    if meant in mine:
        return mine[meant]
    return NoServer(
        str(NotDeployed(project=key, status=meant)), f"[projects.{key}]\nstatuses = {_list([*mine, meant])}"
    )


def _unknown_status(words: list[str], servers: Servers) -> NoServer:
    """The suggested lines add a status of that name. If it exists already, they keep its other names and ids."""
    names = " ".join(shown(word) for word in words)
    known = f"known: {', '.join(servers.statuses)}"
    # a word that is not printable cannot be pasted into the settings
    words = [word for word in words if word.isprintable()]
    if not words:
        return NoServer(f"unknown status {names}; {known}", None)
    key = _key(words)
    jira = f"jira = {_list(dict.fromkeys([*servers.words(key), *words]))}"
    hint = f"To accept it, add [statuses.{key}] with {jira}, or add it to another status"
    return NoServer(f"unknown status {names}; {known}. {hint}", f"[statuses.{key}]\n{jira}")


def _key(words: list[str]) -> str:
    """A key for the status in the settings, made from the first word that gives a valid one."""
    for word in (words[0], f"status-{words[-1]}"):
        key = "".join(c if c.isascii() and c.isalnum() else "-" for c in fold(word))[:40].strip("-")
        if _STATUS_KEY.fullmatch(key):
            return key
    return "status"


def _list(words: Iterable[str]) -> str:
    """Printable words as a TOML array."""
    return json.dumps(list(words), ensure_ascii=False)
