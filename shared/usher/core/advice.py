"""Advice: the lines in the settings that would accept a move that no server deploys."""

import json
from collections.abc import Iterable, Sequence

from usher.core.errors import BadMessage, NotDeployed, UnknownProject, UnknownStatus
from usher.core.names import fold, likely
from usher.core.servers import Servers


def advise(fault: BadMessage, project: str, words: Sequence[str], servers: Servers) -> str | None:
    """The sections to write, separated by empty lines. None if nothing in the settings would help.

    `fault` says why no server deploys the move, `project` is the issue's, and `words` are the names and ids that the
    tracker uses for its status. A section that exists already keeps what it has.
    """
    sections: list[str] = []
    if isinstance(fault, UnknownProject):
        sections.append(f"[projects.{project.lower()}]")
    if isinstance(fault, UnknownStatus) or (sections and not _is_known(words, servers)):
        sections += _status(project, words, servers)
    if isinstance(fault, NotDeployed):
        sections.append(_project(project, str(fault.facts["status"]), servers))
    return "\n\n".join(sections) or None


def _is_known(words: Iterable[str], servers: Servers) -> bool:
    return servers.status(*words) is not None or any(fold(word) in servers.statuses for word in words)


def _status(project: str, words: Iterable[str], servers: Servers) -> list[str]:
    # a word that is not printable cannot be pasted into the settings
    printable = [word.strip() for word in words if word.isprintable()]
    if not printable:
        return []
    status, deployed = likely(printable, servers.statuses), servers.statuses_of(project)
    section = f"[statuses.{status}]\njira = {_list([*servers.words(status), *printable])}"
    # a project that lists its statuses does not deploy a new one
    lists = status not in deployed and set(deployed) not in (set(), set(servers.statuses))
    return [section, _project(project, status, servers)] if lists else [section]


def _project(project: str, status: str, servers: Servers) -> str:
    return f"[projects.{project.lower()}]\nstatuses = {_list([*servers.statuses_of(project), status])}"


def _list(words: Iterable[str]) -> str:
    """Printable words as a TOML array, without duplicates."""
    return json.dumps(list(dict.fromkeys(words)), ensure_ascii=False)
