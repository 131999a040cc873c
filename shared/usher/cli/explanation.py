"""What a move would do, step by step, according to the settings."""

import os
from dataclasses import dataclass
from datetime import timedelta

from usher.cli import toml
from usher.cli.screen import shell
from usher.core.advice import advise
from usher.core.errors import BadMessage, NotDeployed, UnknownProject, UnknownStatus
from usher.core.issues import Issue
from usher.core.servers import Server
from usher.runtime.wording import span
from usher.settings import Settings
from usher.settings.runnable import NotRunnable, check_runnable


@dataclass(frozen=True, slots=True)
class Step:
    """One step from a move to its command. `fix` is the setting that would let a failed step succeed."""

    name: str
    ok: bool
    says: str
    fix: str | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The steps, up to the first that fails, and the server and command if none fails."""

    steps: tuple[Step, ...]
    server: Server | None = None
    command: tuple[str, ...] | None = None

    @property
    def fault(self) -> Step | None:
        """The step that failed."""
        return next((step for step in self.steps if not step.ok), None)


def explain(key: str, word: str, settings: Settings) -> Explanation:
    """Explain what would happen if an issue (`key`) were moved to a status (`word`). Contacts no service."""
    steps: list[Step] = []
    issue = None
    try:
        issue = Issue.parse(key)
        steps.append(Step("issue", True, f"{issue} is number {issue.number} of project {issue.project}"))
        server = settings.catalogue.find(issue.project, word)
    except BadMessage as fault:
        return Explanation((*steps, _failed(fault, issue, word, settings)))
    steps.append(Step("status", True, _meaning(word, server.status, settings)))
    steps.append(
        Step(
            "server",
            True,
            f"{server.routing_key} is {server}, from [servers] name = {toml.value(settings.servers.name)}",
        )
    )
    command = settings.deploys.template.render(server, [issue])
    rehearses = settings.deploys.rehearses
    runs = "rehearsal: [deploys] command is not set, nothing runs" if rehearses else "will run"
    steps.append(Step("command", True, f"{shell(command)}   ({runs})"))
    steps.append(Step("when", True, when(settings)))
    return Explanation(tuple(steps), server, command)


def warning(settings: Settings) -> str | None:
    """A warning if the command cannot run on this machine. `deploys` may run on another one."""
    try:
        check_runnable(settings.deploys, os.environ.get("PATH", os.defpath))
    except NotRunnable as missing:
        return f"Warning: {missing}, unless deploys runs on another machine."
    return None


def when(settings: Settings) -> str:
    """When a deploy starts, as a phrase."""
    window = settings.window.window()
    quiet, cap = (span(timedelta(milliseconds=ms)) for ms in (window.quiet, window.cap))
    return f"{quiet} after the last message, but no later than {cap} after the first"


def _meaning(word: str, status: str, settings: Settings) -> str:
    if word == status:
        return f"{status} is a deployed status"
    return f'"{word}" in Jira means {status}'


def _failed(fault: BadMessage, issue: Issue | None, word: str, settings: Settings) -> Step:
    name = {UnknownProject: "project", UnknownStatus: "status", NotDeployed: "server"}.get(type(fault), "issue")
    fix = advise(fault, issue.project, [word], settings.catalogue) if issue else None
    return Step(name, False, str(fault), fix)
