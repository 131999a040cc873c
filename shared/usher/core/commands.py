"""Commands as data: the arguments to run for a server and its issues. This module runs nothing."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from usher.core.errors import BadCommand
from usher.core.issues import Issue
from usher.core.servers import Server, Servers

PLACEHOLDERS = ("server", "project", "status", "issues", "numbers")
_SEVERAL = ("issues", "numbers")
_PLACEHOLDER = re.compile(r"\{(\w*)\}")


@dataclass(frozen=True, slots=True)
class Command:
    """A command's arguments with placeholders: `("python", "-m", "wwts.devops.deploy", "{server}", "{issues}")`.

    `{server}`, `{project}` and `{status}` can be anywhere in an argument. `{issues}` (ABC-111 ABC-113) and `{numbers}`
    (111 113) must be whole arguments, and expand to one argument per issue. Raises BadCommand for other placeholders.
    """

    argv: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.argv or not self.argv[0].strip():
            raise BadCommand(why="the command is empty; name a program, then its arguments")
        for argument in self.argv:
            if "\0" in argument:
                raise BadCommand(why="an argument of the command contains a NUL character, which is not possible")
            for name in _PLACEHOLDER.findall(argument):
                if name not in PLACEHOLDERS:
                    known = ", ".join(f"{{{known}}}" for known in PLACEHOLDERS)
                    raise BadCommand(why=f"unknown placeholder {{{name}}} in the command; known: {known}")
                if name in _SEVERAL and argument != f"{{{name}}}":
                    raise BadCommand(
                        why=f"{{{name}}} expands to several arguments: it must stand alone, not in {argument!r}"
                    )

    def render(self, server: Server, issues: Sequence[Issue]) -> tuple[str, ...]:
        """The command's arguments for a server and its issues."""
        several = {
            "{issues}": [str(issue) for issue in issues],
            "{numbers}": [str(issue.number) for issue in issues],
        }
        one = {"server": server.name, "project": server.project, "status": server.status}
        rendered: list[str] = []
        for argument in self.argv:
            if argument in several:
                rendered += several[argument]
            else:
                rendered.append(_PLACEHOLDER.sub(lambda found: one[found[1]], argument))
        return tuple(rendered)


def full_form(server: Server, issues: Sequence[Issue]) -> tuple[str, ...]:
    """`beta.abc.wwts.com ABC-111 ABC-113`, as arguments."""
    return (server.name, *(str(issue) for issue in issues))


def short_form(server: Server, issues: Sequence[Issue]) -> tuple[str, ...]:
    """`abc beta 111 113`, as arguments."""
    return (server.project, server.status, *(str(issue.number) for issue in issues))


def parse_form(arguments: Sequence[str], servers: Servers) -> tuple[Server, tuple[Issue, ...]]:
    """Parse a server and its issues from either form. The issues are sorted, without duplicates.

    Raises BadCommand, BadIssue, UnknownServer, UnknownProject, UnknownStatus or NotDeployed.
    """
    if len(arguments) < 2:
        raise BadCommand(why="name a server and its issues: beta.abc.wwts.com ABC-111, or: abc beta 111")
    first, second, *rest = arguments
    if rest and all(word.isascii() and word.isdigit() for word in rest):
        server = servers.find(first, second)
        issues = [Issue.parse(f"{server.project.upper()}-{number}") for number in rest]
    else:
        server = servers.named(first)
        issues = [Issue.parse(word) for word in (second, *rest)]
    for issue in issues:
        if issue.project.lower() != server.project:
            raise BadCommand(why=f"{issue} is not an issue of {server.project}, the project of {server}")
    return server, tuple(sorted(set(issues)))
