"""The sections of `usher.toml`, each with its defaults."""

import difflib
import re
from datetime import timedelta
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import BaseModel, ByteSize, ConfigDict, Field, SecretStr, ValidationInfo, field_validator
from yarl import URL

from usher.core.commands import Command
from usher.core.errors import BadCommand
from usher.core.retries import Ladder
from usher.core.servers import Server
from usher.core.windows import Window
from usher.settings.kinds import (
    BrokerUrls,
    Delay,
    ExitCode,
    Host,
    LedgerUrl,
    Networks,
    Origins,
    Port,
    SecretFile,
    StatusKey,
)
from usher.settings.units import Duration, Share

REHEARSED_COMMAND = ("python", "-m", "wwts.devops.deploy", "{server}", "{issues}")

_PLACEHOLDERS = ("status", "project")


class Section(BaseModel):
    """A section of the settings: no unknown keys, and immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def _with_password(address: SecretStr, password: SecretStr) -> SecretStr:
    """The address with this password, if it has a user and no password of its own."""
    url = URL(address.get_secret_value())
    if url.user is None or url.password is not None:
        return address
    return SecretStr(str(url.with_password(password.get_secret_value())))


class BrokerSettings(Section):
    password_file: SecretFile | None = None  # before `url`, whose addresses get the password
    url: BrokerUrls = ()
    heartbeat: Duration = timedelta(seconds=10)

    @field_validator("url")
    @classmethod
    def _add_password(cls, urls: tuple[SecretStr, ...], known: ValidationInfo) -> tuple[SecretStr, ...]:
        password = known.data.get("password_file")
        return tuple(_with_password(url, password) for url in urls) if password else urls

    @field_validator("heartbeat")
    @classmethod
    def _whole_seconds(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=1) or value.microseconds:
            raise ValueError("a heartbeat is a whole number of seconds, at least one")
        return value


class ProjectSettings(Section):
    statuses: tuple[StatusKey, ...] | None = None


class StatusSettings(Section):
    jira: tuple[str, ...] | None = None


class ServersSettings(Section):
    name: str = "{status}.{project}.wwts.com"

    @field_validator("name")
    @classmethod
    def _check_placeholders(cls, value: str) -> str:
        for word in re.findall(r"\{([^{}]*)\}", value):
            if word not in _PLACEHOLDERS:
                near = difflib.get_close_matches(word, _PLACEHOLDERS, n=1)
                hint = f"did you mean {{{near[0]}}}?" if near else "known: {status}, {project}"
                raise ValueError(f"{{{word}}} is unknown in [servers] name; {hint}")
        return value


class HttpSettings(Section):
    urls: Origins = ()
    proxies: Networks = ()


class WebSettings(Section):
    host: Host = "127.0.0.1"
    port: Port


class DeploysSettings(WebSettings):
    port: Port = 8002
    command: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    cwd: str = "."
    pass_env: tuple[str, ...] = ()
    parallel: Annotated[int, Field(ge=1, le=500)] = 4
    timeout: Duration = timedelta(minutes=40)
    grace: Duration = timedelta(seconds=10)
    drain: Duration = timedelta()
    silence: Duration = timedelta(seconds=10)
    max_issues: Annotated[int, Field(ge=1, le=10_000)] = 1000
    logs: str = ".usher/deploys"
    output_limit: Annotated[ByteSize, Field(ge=64 * 1024)] = ByteSize(64 * 1024 * 1024)
    keep_output: Annotated[Duration, Field(ge=timedelta(hours=1))] = timedelta(days=30)

    @field_validator("command")
    @classmethod
    def _renders(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        try:
            Command(value) if value is not None else None
        except BadCommand as bad:
            raise ValueError(str(bad)) from bad
        return value

    @property
    def rehearses(self) -> bool:
        """Whether deploys only log their command."""
        return self.command is None

    @property
    def template(self) -> Command:
        """The command to run, or to log in a rehearsal."""
        return Command(self.command or REHEARSED_COMMAND)


def _millis(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


class WindowSettings(Section):
    quiet: Share = 0.1
    cap: Share = 0.414
    typical: Duration = timedelta(minutes=20)
    floor: Duration = timedelta(seconds=5)

    def window(self) -> Window:
        """The window policy: fractions of the typical deploy time become durations, and none is below the floor."""
        return Window(quiet=self._at_least(self.quiet), cap=self._at_least(self.cap))

    def _at_least(self, span: float | timedelta) -> int:
        length = span if isinstance(span, timedelta) else self.typical * span
        return _millis(max(length, self.floor))


class LadderSettings(Section):
    delays: Annotated[tuple[Delay, ...], Field(max_length=20)] | None = None
    never: tuple[ExitCode, ...] | None = None


POSTPONED = 60_000
"""After this delay (ms), a retry is published again that its server's queue did not accept."""


class RetriesSettings(Section):
    delays: Annotated[tuple[Delay, ...], Field(max_length=20)] = tuple(timedelta(minutes=m) for m in (1, 5, 30))
    jitter: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    never: tuple[ExitCode, ...] = (64, 65)
    soon: Annotated[int, Field(ge=0, le=1000)] = 10
    of: dict[str, LadderSettings] = {}

    def ladder(self, server: Server) -> Ladder:
        """The retry rules of a server: its own, else its status's, else the general ones."""
        delays, never = self.delays, self.never
        for name in (server.status, server.name):
            own = self.of.get(name, LadderSettings())
            delays = delays if own.delays is None else own.delays
            never = never if own.never is None else own.never
        return Ladder(tuple(map(_millis, delays)), frozenset(never), self.soon)

    @property
    def every_delay(self) -> tuple[int, ...]:
        """Every delay of a retry queue, in ms: those that any server uses, and the one for what cannot be published."""
        ladders = (self.delays, *(own.delays or () for own in self.of.values()))
        return tuple(sorted({_millis(delay) for ladder in ladders for delay in ladder} | {POSTPONED}))


class JiraSettings(Section):
    secret: Annotated[SecretStr, Field(min_length=1)] | None = None


class TrackersSettings(WebSettings):
    port: Port = 8001
    body_limit: Annotated[ByteSize, Field(ge=1024)] = ByteSize(25 * 1024 * 1024)


class SuccessesSettings(WebSettings):
    port: Port = 8003
    ledger: LedgerUrl = SecretStr("sqlite:///usher.db")
    keep: Annotated[Duration, Field(ge=timedelta(days=90))] = timedelta(days=400)
    sweep: Annotated[Duration, Field(ge=timedelta(seconds=1))] = timedelta(minutes=10)

    @property
    def ledger_shown(self) -> str:
        """The ledger's address, without user and password."""
        _, in_file, place = self.ledger.get_secret_value().partition("///")
        if in_file:
            return place
        url = urlsplit(self.ledger.get_secret_value())
        return f"postgresql://{url.netloc.rpartition('@')[2]}{url.path}"
