"""A new `usher.toml`: the commented example with one's own projects, statuses, servers and command in it."""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from usher.cli import toml
from usher.core.errors import SettingsError
from usher.settings import Settings, parse
from usher.settings.load import example

_HEADER = re.compile(r"^\[([\w.]+)\]", re.MULTILINE)
_KEY = re.compile(r"\w+ = ")


@dataclass(frozen=True, slots=True)
class NewSettings:
    """What `usher init` asks for. `jira` maps a status to the tracker's words for it; no command means: rehearse."""

    projects: Sequence[str] = ("abc",)
    jira: Mapping[str, Sequence[str]] = field(default_factory=dict)
    server: str = "{status}.{project}.wwts.com"
    command: Sequence[str] = ()

    def text(self) -> str:
        """The file. Whatever was not asked for stands in it as a comment, with its default."""
        replaced = {"projects": self._projects(), "statuses": self._statuses()}
        parts, done = [], set()
        for section, part in _sections(example()):
            kind = section.partition(".")[0]
            if kind not in replaced:
                parts.append(self._settings(section, part))
            elif kind not in done:
                done.add(kind)
                parts.append(replaced[kind])
        return "\n\n".join(part.strip() for part in parts) + "\n"

    def gist(self) -> str:
        """The file's lines that set something."""
        lines = [line for line in self.text().splitlines() if line and not line.startswith("#")]
        pairs = zip(lines, [*lines[1:], "["], strict=True)
        return "\n".join(
            line for line, after in pairs if line.startswith("[projects.") or not (line[0] == after[0] == "[")
        )

    def settings(self) -> Settings:
        """What Usher reads in that file. Raises SettingsError, in the words of the settings' own checks."""
        return parse(self.text(), "usher.toml")

    def _projects(self) -> str:
        sections = "\n".join(f"[projects.{toml.key(project)}]" for project in self.projects)
        return (
            "# Every project that may deploy, by its key in Jira, in lower case. To deploy some statuses only:\n"
            f'# statuses = ["test", "beta"]\n{sections}'
        )

    def _statuses(self) -> str:
        about = (
            '# Statuses that lead to a server. "stage", "test" and "beta" exist without being named.\n'
            "# jira: names and ids in Jira that mean it, compared whole and without case. Default: its own name."
        )
        sections = [f"[statuses.{toml.key(status)}]\njira = {toml.array(words)}" for status, words in self.jira.items()]
        return "\n\n".join([about + ("\n" + sections[0] if sections else ""), *sections[1:]])

    def _settings(self, section: str, part: str) -> str:
        lines = []
        for line in part.splitlines():
            if section == "servers" and line.startswith("name = "):
                lines.append(f"name = {toml.string(self.server)}")
            elif section == "deploys" and line.startswith("# command = ") and self.command:
                lines.append(f"command = {toml.array(self.command)}")
            else:
                lines.append(f"# {line}" if _KEY.match(line) else line)
        return "\n".join(lines)


def check_projects(text: str) -> tuple[str, ...]:
    """`abc, DEF` to project keys. Raises SettingsError."""
    keys = tuple(dict.fromkeys(text.replace(",", " ").lower().split()))
    NewSettings(projects=keys).settings()
    return keys


def check_words(status: str, text: str) -> tuple[str, ...]:
    """`Ready for Beta, 10003` to the tracker's words for a status. Raises SettingsError."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not words:
        raise SettingsError(why=f"[statuses.{status}] jira: name at least one status of Jira")
    NewSettings(jira={status: words}).settings()
    return words


def check_server(text: str, projects: Sequence[str]) -> str:
    """A pattern of servers' names. Raises SettingsError."""
    NewSettings(projects=projects, server=text.strip()).settings()
    return text.strip()


def check_command(text: str) -> tuple[str, ...]:
    """A command, typed as one types it or as a JSON list, to its arguments; nothing means: rehearse.

    It is split once, here; no shell sees it, now or later. Raises SettingsError.
    """
    try:
        words = json.loads(text) if text.lstrip().startswith("[") else shlex.split(text)
    except ValueError as error:
        raise SettingsError(
            why=f"the command {text!r} cannot be split into arguments ({error}); write a JSON list: "
            '["python", "-m", "wwts.devops.deploy", "{server}", "{issues}"]'
        ) from None
    if not all(isinstance(word, str) for word in words):
        raise SettingsError(why=f"the command {text!r} is not a list of strings; put quotes around each argument")
    if words:
        NewSettings(command=words).settings()
    return tuple(words)


def check_status(text: str) -> tuple[str, tuple[str, ...]]:
    """`beta=Ready for Beta, 10003` to a status and the tracker's words for it. Raises SettingsError."""
    status, is_there, words = text.partition("=")
    if not is_there:
        raise SettingsError(why=f'{text!r} names no words of Jira; write it like "beta=Ready for Beta, 10003"')
    return status.strip().lower(), check_words(status.strip().lower(), words)


def _sections(text: str) -> list[tuple[str, str]]:
    """The example in parts: each section's name, and its text with the comment above it. The first part has none."""
    return [(((found := _HEADER.search(part)) and found[1]) or "", part) for part in text.split("\n\n")]
