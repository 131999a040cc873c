"""Where a move leads to; and when it leads nowhere, the settings line that would change that."""

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
class NotNoticed:
    """Why no server deploys a move, and the settings line that would have one deploy it, if there is such a line."""

    reason: str
    accept: str | None


def place(issue: Issue, status_id: str | None, status_name: str | None, servers: Servers) -> Server | NotNoticed:
    """The server that deploys that issue in a status, which the tracker names by an id, a name, or both."""
    key = issue.project.lower()
    mine = {server.status: server for server in servers if server.project == key}
    if not mine:
        return NotNoticed(str(UnknownProject(project=issue.project, key=key)), f"[projects.{key}]")
    meant = servers.status(status_id, status_name)
    if meant is None:
        return _unknown_status([word for word in (status_name, status_id) if word], servers)
    if meant in mine:
        return mine[meant]
    return NotNoticed(
        str(NotDeployed(project=key, status=meant)), f"[projects.{key}]\nstatuses = {_list([*mine, meant])}"
    )


def _unknown_status(words: list[str], servers: Servers) -> NotNoticed:
    """The line adds a status of the same name; if there is one already, the line keeps what meant it before."""
    said = " ".join(shown(word) for word in words)
    known = f"known: {', '.join(servers.statuses)}"
    # what cannot be printed cannot be pasted either
    words = [word for word in words if word.isprintable()]
    if not words:
        return NotNoticed(f"unknown status {said}; {known}", None)
    key = _key(words)
    jira = f"jira = {_list(dict.fromkeys([*servers.words(key), *words]))}"
    hint = f"To notice it, add [statuses.{key}] with {jira}, or add it to another status"
    return NotNoticed(f"unknown status {said}; {known}. {hint}", f"[statuses.{key}]\n{jira}")


def _key(words: list[str]) -> str:
    """A status's key in the settings, made of the first word that has enough plain letters."""
    for word in (words[0], f"status-{words[-1]}"):
        key = "".join(c if c.isascii() and c.isalnum() else "-" for c in fold(word))[:40].strip("-")
        if _STATUS_KEY.fullmatch(key):
            return key
    return "status"


def _list(words: Iterable[str]) -> str:
    """Printable words as a TOML list."""
    return json.dumps(list(words), ensure_ascii=False)
