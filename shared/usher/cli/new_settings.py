"""A new `usher.toml`: the commented example, with the user's projects, statuses, servers and command."""

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
    """The answers to `usher init`. `jira` maps a status to Jira's names and ids for it. No command means rehearse."""

    projects: Sequence[str] = ("abc",)
    jira: Mapping[str, Sequence[str]] = field(default_factory=dict)
    server: str = "{status}.{project}.wwts.com"
    command: Sequence[str] = ()

    def text(self) -> str:
        """The file. Settings that were not asked for are comments with their defaults."""
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
        """The lines of the file that are not comments."""
        lines = [line for line in self.text().splitlines() if line and not line.startswith("#")]
        pairs = zip(lines, [*lines[1:], "["], strict=True)
        return "\n".join(
            line for line, after in pairs if line.startswith("[projects.") or not (line[0] == after[0] == "[")
        )

    def settings(self) -> Settings:
        """The settings that Usher reads from the file. Raises SettingsError."""
        return parse(self.text(), "usher.toml")

    def _projects(self) -> str:
        sections = "\n".join(f"[projects.{toml.key(project)}]" for project in self.projects)
        return (
            "# The projects that may deploy, by their Jira keys in lower case. To deploy only some statuses of one:\n"
            f'# statuses = ["test", "beta"]\n{sections}'
        )

    def _statuses(self) -> str:
        about = (
            '# The statuses that trigger a deploy. "stage", "test" and "beta" always exist and need no section.\n'
            "# jira: the names and ids that Jira uses for this status. Case and white space are ignored.\n"
            "# Default: the status's own name."
        )
        sections = [f"[statuses.{toml.key(status)}]\njira = {toml.value(words)}" for status, words in self.jira.items()]
        return "\n\n".join([about + ("\n" + sections[0] if sections else ""), *sections[1:]])

    def _settings(self, section: str, part: str) -> str:
        lines = []
        for line in part.splitlines():
            if section == "servers" and line.startswith("name = "):
                lines.append(f"name = {toml.value(self.server)}")
            elif section == "deploys" and line.startswith("# command = ") and self.command:
                lines.append(f"command = {toml.value(self.command)}")
            else:
                lines.append(f"# {line}" if _KEY.match(line) else line)
        return "\n".join(lines)


def check_projects(text: str) -> tuple[str, ...]:
    """Parse project keys: `abc, DEF`. Raises SettingsError."""
    keys = tuple(dict.fromkeys(text.replace(",", " ").lower().split()))
    NewSettings(projects=keys).settings()
    return keys


def check_words(status: str, text: str) -> tuple[str, ...]:
    """Parse Jira's names and ids for a status: `Ready for Beta, 10003`. Raises SettingsError."""
    words = tuple(dict.fromkeys(word.strip() for word in text.split(",") if word.strip()))
    if not words:
        raise SettingsError(why=f"[statuses.{status}] jira: give at least one of Jira's names or ids")
    NewSettings(jira={status: words}).settings()
    return words


def check_server(text: str, projects: Sequence[str]) -> str:
    """Check a pattern of server names. Raises SettingsError."""
    NewSettings(projects=projects, server=text.strip()).settings()
    return text.strip()


def check_command(text: str) -> tuple[str, ...]:
    """Parse a command, written as on a command line or as a JSON list. Empty means rehearse.

    The command is split here, once. No shell is ever involved. Raises SettingsError.
    """
    try:
        words = json.loads(text) if text.lstrip().startswith("[") else shlex.split(text)
    except ValueError as error:
        raise SettingsError(
            why=f"the command {text!r} cannot be split into arguments ({error}); write it as a JSON list: "
            '["python", "-m", "wwts.devops.deploy", "{server}", "{issues}"]'
        ) from None
    if not all(isinstance(word, str) for word in words):
        raise SettingsError(why=f"the command {text!r} is not a list of strings; put quotes around each argument")
    if words:
        NewSettings(command=words).settings()
    return tuple(words)


def check_status(text: str) -> tuple[str, tuple[str, ...]]:
    """Parse a status and Jira's names and ids for it: `beta=Ready for Beta, 10003`. Raises SettingsError."""
    status, separator, words = text.partition("=")
    if not separator:
        raise SettingsError(why=f'{text!r} has no names or ids of Jira; write it like "beta=Ready for Beta, 10003"')
    return status.strip().lower(), check_words(status.strip().lower(), words)


def _sections(text: str) -> list[tuple[str, str]]:
    """Split the example into sections: the name, and the text with the comment above it. The first part has no name."""
    return [(((found := _HEADER.search(part)) and found[1]) or "", part) for part in text.split("\n\n")]
