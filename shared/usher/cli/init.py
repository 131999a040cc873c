"""`usher init`: asks for the settings that differ from place to place, and writes `usher.toml`."""

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
from usher.runtime.private import private_file
from usher.runtime.wording import count
from usher.settings.load import BOM, CONFIG, FILE
from usher.settings.model import WELL_KNOWN_STATUSES
from usher.settings.sections import REHEARSED_COMMAND

T = TypeVar("T")


def init(
    project: Annotated[
        list[str] | None, typer.Option(help="A project's Jira key. Can be repeated.", metavar="KEY")
    ] = None,
    status: Annotated[
        list[str] | None,
        typer.Option(
            help='Jira\'s names or ids for a status: "beta=Ready for Beta, 10003". Can be repeated.', metavar="S=WORDS"
        ),
    ] = None,
    server: Annotated[str | None, typer.Option(help="The pattern of the server names.", metavar="PATTERN")] = None,
    command: Annotated[
        str | None,
        typer.Option(
            help="The deploy command, preferably a JSON list. If empty, Usher only logs what it would run.",
            metavar="COMMAND",
        ),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing, and use defaults.")] = False,
) -> None:
    """Write usher.toml: the projects, Jira's names for the statuses, the servers and the command.

    Asks for everything that is not given as an option, and checks each answer immediately.

    \b
    Examples:
      usher init
      usher init --yes --project shop --project blog --status "beta=To Beta, 10003"
      usher init --command "python -m wwts.devops.deploy {server} {issues}"
    """
    path = Path(os.environ.get(CONFIG) or FILE)
    if yes and path.exists():
        raise SettingsError(why=f"{path} already exists, and --yes does not overwrite it; move it first")
    draft = _draft(project, status, server, command, asking=not yes)
    settings = draft.settings()
    screen = console()
    screen.print(f"\n{path} will contain, besides comments with all defaults:\n", style="bold")
    screen.print(textwrap.indent(draft.gist(), "  "), soft_wrap=True)
    screen.print()
    missing = warning(settings)
    if missing:
        screen.print(f"{missing}\n", style="yellow", soft_wrap=True)
    if not yes:
        _confirm(path, sure=missing is None)
    try:
        private_file(path)  # it may later contain passwords; an existing file keeps its mode
        path.write_text(draft.text(), "utf-8")
    except OSError as error:
        raise SettingsError(why=f"cannot write {path}: {error.strerror}; choose another file with {CONFIG}") from None
    first = next(iter(settings.catalogue))
    issue = f"{first.project.upper()}-111"
    command_step = explain(issue, first.status, settings).steps[-2].says
    screen.print(f"Wrote {path}: {count(len(settings.catalogue), 'server')}. For example, {issue} to {first.status}:")
    screen.print(f"  {command_step}", soft_wrap=True)
    screen.print(f"Next: `usher explain {issue} {first.status}` explains this; `usher up` runs Usher.")


def _draft(
    project: list[str] | None, status: list[str] | None, server: str | None, command: str | None, *, asking: bool
) -> NewSettings:
    """The settings from the options, then from answers or defaults."""
    default = NewSettings()

    def choose(value: str | None, check: Callable[[str], T], fallback: T, question: str, shown: str) -> T:
        if value is not None:
            return check(value)
        return _ask(question, check, shown) if asking else fallback

    projects = choose(
        ",".join(project) if project else None,
        check_projects,
        default.projects,
        "Which projects may deploy? List their Jira keys. For example: abc, def",
        "abc",
    )
    return NewSettings(
        projects=projects,
        jira=dict(map(check_status, status)) if status else _jira() if asking else {},
        server=choose(
            server,
            lambda text: check_server(text, projects),
            default.server,
            "What are the server names? {status} and {project} are replaced, and each combination is one server",
            default.server,
        ),
        command=choose(
            command,
            check_command,
            default.command,
            f"Which command deploys? For example: {' '.join(REHEARSED_COMMAND)}\n"
            "  {server}, {project}, {status}, {issues} (ABC-111 ABC-113) and {numbers} (111 113) are replaced.\n"
            "  Leave empty to rehearse: log the command and run nothing",
            "",
        ),
    )


def _jira() -> dict[str, tuple[str, ...]]:
    """Jira's names and ids for each status. A status that Jira calls by the same name needs no section."""
    answers = {}
    for status in WELL_KNOWN_STATUSES:
        question = f"What does Jira call the status that deploys to {status}? For example: Ready for Beta, 10003"
        answers[status] = _ask(question, partial(check_words, status), status)
    jira = {status: words for status, words in answers.items() if words != (status,)}
    question = "Do you have another status that deploys? Add Jira's names or ids. For example: qa=Ready for QA, 10105"
    while more := _ask(f"{question}\n  Leave empty to continue", _another, ""):
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
            # answers from a file may begin with a byte order mark
            return check(answer.removeprefix(BOM))
        except SettingsError as fault:
            console(stderr=True).print(f"  {fault}", style="red")


def _confirm(path: Path, *, sure: bool) -> None:
    """Ask whether to write the file. The default is yes only if that overwrites nothing and we are `sure`."""
    exists = path.exists()
    question = f"{path} already exists. Overwrite it?" if exists else f"Write {path}{'' if sure else ' anyway'}?"
    if not _answered(partial(typer.confirm, question, default=sure and not exists)):
        raise typer.Abort


def _answered(ask: Callable[[], T]) -> T:
    """Ask, and return the answer. Raises SettingsError if there is no terminal to ask on."""
    try:
        return ask()
    except typer.Abort:
        if sys.stdin.isatty():
            raise
        console().print()
        raise SettingsError(
            why="there is no terminal to ask on; use options and --yes: see `usher init --help`"
        ) from None
