"""`usher init`: asks for what differs from place to place, and writes `usher.toml`."""

import os
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from usher.cli.explanation import explain, warning
from usher.cli.new_settings import NewSettings, check_command, check_projects, check_server, check_status, check_words
from usher.cli.screen import console
from usher.core.errors import SettingsError
from usher.runtime.wording import count
from usher.settings.load import CONFIG, FILE
from usher.settings.model import WELL_KNOWN_STATUSES
from usher.settings.sections import SAID_WHEN_REHEARSED

T = TypeVar("T")


def init(
    project: Annotated[
        list[str] | None, typer.Option(help="A project's key in Jira. May be given several times.", metavar="KEY")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(help='What Jira calls a status: "beta=Ready for Beta, 10003". Several times.', metavar="S=WORDS"),
    ] = None,
    server: Annotated[str | None, typer.Option(help="The pattern of servers' names.", metavar="PATTERN")] = None,
    command: Annotated[
        str | None, typer.Option(help="The deploy command, best as a JSON list; empty: rehearse.", metavar="COMMAND")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: defaults for the rest, and write.")] = False,
) -> None:
    """Write usher.toml: which projects, what Jira calls their statuses, which servers, which command.

    Asks for each that is not given as an option; every answer is checked as it is typed.

    \b
    Examples:
      usher init
      usher init --yes --project shop --project blog --status "beta=To Beta, 10003"
      usher init --command "python -m wwts.devops.deploy {server} {issues}"
    """
    path = Path(os.environ.get(CONFIG) or FILE)
    if yes and path.exists():
        raise SettingsError(why=f"{path} exists already, and --yes overwrites nothing; move it away first")
    draft = _draft(project, status, server, command, asking=not yes)
    settings = draft.settings()
    screen = console()
    screen.print(f"\n{path} will say, beside comments with every default:\n", style="bold")
    screen.print(textwrap.indent(draft.gist(), "  "), soft_wrap=True)
    screen.print()
    if not yes:
        _may_write(path)
    try:
        path.write_text(draft.text(), "utf-8")
    except OSError as error:
        raise SettingsError(why=f"{path} cannot be written: {error.strerror}; choose another with {CONFIG}") from None
    first = next(iter(settings.catalogue))
    issue = f"{first.project.upper()}-111"
    says = explain(issue, first.status, settings).steps[-2].says
    screen.print(f"Wrote {path}: {count(len(settings.catalogue), 'server')}. For example, {issue} to {first.status}:")
    screen.print(f"  {says}", soft_wrap=True)
    if lacks := warning(settings):
        screen.print(lacks, style="yellow", soft_wrap=True)
    screen.print(f"Next: `usher explain {issue} {first.status}` says why; `usher up` runs it.")


def _draft(
    project: list[str] | None, status: list[str] | None, server: str | None, command: str | None, *, asking: bool
) -> NewSettings:
    """What the options say, the rest asked for, or its defaults."""
    default = NewSettings()

    def given(value: str | None, check: Callable[[str], T], otherwise: T, question: str, shown: str) -> T:
        if value is not None:
            return check(value)
        return _ask(question, check, shown) if asking else otherwise

    projects = given(
        ",".join(project) if project else None,
        check_projects,
        default.projects,
        "Which projects may deploy? Their keys in Jira, like: abc, def",
        "abc",
    )
    return NewSettings(
        projects=projects,
        jira=dict(map(check_status, status)) if status else _jira() if asking else {},
        server=given(
            server,
            lambda text: check_server(text, projects),
            default.server,
            "What are the servers called? {status} and {project} are filled in, so that beta of abc is one server",
            default.server,
        ),
        command=given(
            command,
            check_command,
            default.command,
            f"Which command deploys? For example: {' '.join(SAID_WHEN_REHEARSED)}\n"
            "  {server}, {project}, {status}, {issues} (ABC-111 ABC-113), {numbers} (111 113) are filled in.\n"
            "  Empty: rehearse, that is, say the command and run nothing",
            "",
        ),
    )


def _jira() -> dict[str, tuple[str, ...]]:
    """What Jira calls each status; one that has only its own name needs no section."""
    answers = {}
    for status in WELL_KNOWN_STATUSES:
        question = f"What does Jira call the status that deploys to {status}? Names or ids, like: Ready for Beta, 10003"
        answers[status] = _ask(question, partial(check_words, status), status)
    jira = {status: words for status, words in answers.items() if words != (status,)}
    question = "Does another status of yours deploy? Its name and what Jira calls it, like: qa=Ready for QA, 10105"
    while more := _ask(f"{question}\n  Empty: no more", _another, ""):
        jira |= [more]
    return jira


def _another(text: str) -> tuple[str, tuple[str, ...]] | None:
    return check_status(text) if text.strip() else None


def _ask(question: str, check: Callable[[str], T], default: str) -> T:
    """Ask until the answer passes its check."""
    screen = console()
    while True:
        screen.print(f"\n{question}.")
        answer: str = _answered(
            partial(typer.prompt, " ", prompt_suffix="> ", default=default, show_default=bool(default))
        )
        try:
            return check(answer)
        except SettingsError as fault:
            console(stderr=True).print(f"  {fault}", style="red")


def _may_write(path: Path) -> None:
    there = path.exists()
    question = f"{path} exists already. Overwrite it?" if there else f"Write {path}?"
    if not _answered(partial(typer.confirm, question, default=not there)):
        raise typer.Abort


def _answered(ask: Callable[[], T]) -> T:
    """What a person answers. Raises SettingsError when nobody is there who could."""
    try:
        return ask()
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        console().print()
        raise SettingsError(
            why="there is nothing to read answers from; give them as options, with --yes: see `usher init --help`"
        ) from None
