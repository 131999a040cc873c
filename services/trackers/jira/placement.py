"""Which server a move leads to; if none, the lines in the settings that would change that."""

from collections.abc import Iterable
from dataclasses import dataclass

from trackers.jira.bodies import shown
from usher.core.advice import advise
from usher.core.errors import BadMessage, UnknownStatus
from usher.core.issues import Issue
from usher.core.servers import Server, Servers


@dataclass(frozen=True, slots=True)
class NoServer:
    """Why no server deploys a move; `accept` are the lines in the settings that would accept it, if there are any."""

    reason: str
    accept: str | None


def place(issue: Issue, status_id: str | None, status_name: str | None, servers: Servers) -> Server | NoServer:
    """The server to which the issue is deployed in that status. The tracker gives an id, a name, or both."""
    words = [word for word in (status_name, status_id) if word]
    try:
        return servers.reached(issue.project, status_id, status_name)
    except BadMessage as fault:
        accept = advise(fault, issue.project, words, servers)
        reason = _unknown(words, servers, accept) if isinstance(fault, UnknownStatus) else str(fault)
        return NoServer(reason, accept)


def _unknown(words: Iterable[str], servers: Servers, accept: str | None) -> str:
    reason = f"unknown status {' '.join(map(shown, words))}; known: {', '.join(servers.statuses)}"
    if accept is None:
        return reason
    sections = " and ".join(section.replace("\n", " with ", 1) for section in accept.split("\n\n"))
    return f"{reason}. To accept it, add {sections}, or add it to another status"
