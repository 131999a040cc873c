"""What a move would do, step by step, by the settings alone."""

import difflib
import os
from dataclasses import dataclass
from datetime import timedelta

from usher.cli import toml
from usher.cli.screen import shell, span
from usher.core.errors import BadMessage, NotDeployed, UnknownProject, UnknownStatus
from usher.core.issues import Issue
from usher.core.servers import Server
from usher.settings import Settings
from usher.settings.runnable import NotRunnable, check_runnable


@dataclass(frozen=True, slots=True)
class Step:
    """One step from a move to its command. `mend` is the settings' line that would let a failed one pass."""

    name: str
    ok: bool
    says: str
    mend: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """All steps, up to the first that fails; server and command if none does."""

    steps: tuple[Step, ...]
    server: Server | None = None
    command: tuple[str, ...] | None = None

    @property
    def fault(self) -> Step | None:
        """The step that fails."""
        return next((step for step in self.steps if not step.ok), None)


def explain(key: str, word: str, settings: Settings) -> Explanation:
    """What would happen to that issue when it is moved to that status. Nothing is sent, nothing is asked."""
    steps: list[Step] = []
    try:
        issue = Issue.parse(key)
        steps.append(Step("issue", True, f"{issue} is number {issue.number} of project {issue.project}"))
        server = settings.catalogue.find(issue.project, word)
    except BadMessage as fault:
        return Explanation((*steps, _failed(fault, word, settings)))
    steps.append(Step("status", True, _meaning(word, server.status, settings)))
    steps.append(
        Step(
            "server",
            True,
            f"{server.routing_key} is {server}, by [servers] name = {toml.string(settings.servers.name)}",
        )
    )
    command = settings.deploys.template.render(server, [issue])
    runs = "said, not run: [deploys] command is not set" if settings.deploys.rehearses else "run"
    steps.append(Step("command", True, f"{shell(command)}   ({runs})"))
    steps.append(Step("when", True, when(settings)))
    return Explanation(tuple(steps), server, command)


def warning(settings: Settings) -> str | None:
    """What the command lacks on this machine; `deploys` may run on another."""
    try:
        check_runnable(settings.deploys, os.environ.get("PATH", os.defpath))
    except NotRunnable as missing:
        return f"Warning: {missing}, unless deploys runs on another machine."
    return None


def when(settings: Settings) -> str:
    """The window's policy, in a sentence."""
    window = settings.window.window()
    quiet, cap = (span(timedelta(milliseconds=ms)) for ms in (window.quiet, window.cap))
    return f"{quiet} after the last message, at the latest {cap} after the first"


def _meaning(word: str, status: str, settings: Settings) -> str:
    if word == status:
        return f"{status} is a status that is deployed"
    return f'"{word}" in the tracker means {status}'


def _failed(fault: BadMessage, word: str, settings: Settings) -> Step:
    match fault:
        case UnknownProject():
            return Step("project", False, str(fault), f"[projects.{fault.facts['key']}]")
        case UnknownStatus():
            status = _likely(word, settings)
            named = settings.statuses.get(status)
            words = [*(named.jira if named and named.jira is not None else (status,)), word.strip()]
            return Step("status", False, str(fault), f"[statuses.{status}]\njira = {toml.array(words)}")
        case NotDeployed():
            project = str(fault.facts["project"])
            statuses = [*(settings.projects[project].statuses or ()), str(fault.facts["status"])]
            return Step("server", False, str(fault), f"[projects.{project}]\nstatuses = {toml.array(statuses)}")
    return Step("issue", False, str(fault))


def _likely(word: str, settings: Settings) -> str:
    """The status that a word of the tracker probably means."""
    statuses = settings.known_statuses
    spoken = [status for status in statuses if status in word.casefold()]
    return (spoken or difflib.get_close_matches(word.casefold(), statuses, n=1, cutoff=0.0))[0]
