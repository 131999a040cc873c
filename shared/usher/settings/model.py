"""What can be set, with its defaults. `usher/example.toml` says what each is for."""

import difflib
import re
from datetime import timedelta
from functools import cached_property
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AmqpDsn,
    BaseModel,
    BeforeValidator,
    ByteSize,
    ConfigDict,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from usher.commands import Command
from usher.errors import BadCommand
from usher.retries import Ladder
from usher.servers import Server, Servers, fold
from usher.settings.units import Duration, Share
from usher.windows import Window

WELL_KNOWN_STATUSES = ("stage", "test", "beta")
SAID_WHEN_REHEARSED = ("python", "-m", "wwts.devops.deploy", "{server}", "{issues}")

_SERVER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}", re.ASCII)
_FILLED = ("status", "project")
_LEDGER = re.compile(r"sqlite(\+\w+)?:///.+|postgresql(\+psycopg)?://[^/]+/[^/?]+(\?.*)?")
_AMQP: TypeAdapter[AmqpDsn] = TypeAdapter(AmqpDsn)


def _is_amqp(secret: SecretStr) -> SecretStr:
    try:
        _AMQP.validate_python(secret.get_secret_value())
    except ValidationError:
        raise ValueError('a broker\'s address looks like "amqp://user:password@host/vhost"') from None
    return secret


def _is_ledger(secret: SecretStr) -> SecretStr:
    if not _LEDGER.fullmatch(secret.get_secret_value()):
        raise ValueError(
            'a ledger\'s address looks like "sqlite:///usher.db" or "postgresql://user:password@host/database"'
        )
    return secret


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


ProjectKey = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z][a-z0-9_]{0,254}$")]
StatusKey = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
ExitCode = Annotated[int, Field(ge=1, le=255)]
Delay = Annotated[Duration, Field(ge=timedelta(milliseconds=1))]
Port = Annotated[int, Field(ge=0, le=65535)]
LedgerUrl = Annotated[SecretStr, AfterValidator(_is_ledger)]
BrokerUrl = Annotated[SecretStr, AfterValidator(_is_amqp)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class BrokerSettings(_Section):
    url: Annotated[tuple[BrokerUrl, ...], BeforeValidator(_as_list)] = ()
    heartbeat: Duration = timedelta(seconds=10)

    @field_validator("heartbeat")
    @classmethod
    def _whole_seconds(cls, value: timedelta) -> timedelta:
        if value < timedelta(seconds=1) or value.microseconds:
            raise ValueError("a heartbeat is a whole number of seconds, at least one")
        return value


class ProjectSettings(_Section):
    statuses: tuple[StatusKey, ...] | None = None


class StatusSettings(_Section):
    jira: tuple[str, ...] | None = None


class ServersSettings(_Section):
    name: str = "{status}.{project}.wwts.com"

    @field_validator("name")
    @classmethod
    def _can_be_filled(cls, value: str) -> str:
        for word in re.findall(r"\{([^{}]*)\}", value):
            if word not in _FILLED:
                near = difflib.get_close_matches(word, _FILLED, n=1)
                hint = f"did you mean {{{near[0]}}}?" if near else "known: {status}, {project}"
                raise ValueError(f"{{{word}}} is unknown in [servers] name; {hint}")
        return value


class WebSettings(_Section):
    host: str = "127.0.0.1"
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
    most: Annotated[int, Field(ge=1, le=10_000)] = 1000
    logs: str = ".usher/deploys"

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
        """Whether a deploy only says its command."""
        return self.command is None

    @property
    def template(self) -> Command:
        """The command to run, or to say when rehearsing."""
        return Command(self.command or SAID_WHEN_REHEARSED)


def _millis(span: timedelta) -> int:
    return round(span.total_seconds() * 1000)


class WindowSettings(_Section):
    quiet: Share = 0.1
    cap: Share = 0.414
    typical: Duration = timedelta(minutes=20)
    floor: Duration = timedelta(seconds=5)

    def window(self) -> Window:
        """The window's policy: shares taken of the typical deploy time, nothing below the floor."""
        return Window(quiet=self._at_least(self.quiet), cap=self._at_least(self.cap))

    def _at_least(self, span: float | timedelta) -> int:
        whole = span if isinstance(span, timedelta) else self.typical * span
        return _millis(max(whole, self.floor))


class LadderSettings(_Section):
    delays: Annotated[tuple[Delay, ...], Field(max_length=20)] | None = None
    never: tuple[ExitCode, ...] | None = None


class RetriesSettings(_Section):
    delays: Annotated[tuple[Delay, ...], Field(max_length=20)] = tuple(timedelta(minutes=m) for m in (1, 5, 30))
    jitter: Annotated[float, Field(ge=0, le=0.9)] = 0.1
    never: tuple[ExitCode, ...] = (64, 65)
    soon: Annotated[int, Field(ge=0, le=1000)] = 10
    of: dict[str, LadderSettings] = {}

    def ladder(self, server: Server) -> Ladder:
        """That server's rungs: its own, else its status's, else those of all."""
        delays, never = self.delays, self.never
        for name in (server.status, server.name):
            own = self.of.get(name, LadderSettings())
            delays = delays if own.delays is None else own.delays
            never = never if own.never is None else own.never
        return Ladder(tuple(map(_millis, delays)), frozenset(never), self.soon)

    @property
    def every_delay(self) -> tuple[int, ...]:
        """Each rung that there is, in ms."""
        ladders = (self.delays, *(own.delays or () for own in self.of.values()))
        return tuple(sorted({_millis(delay) for ladder in ladders for delay in ladder}))


class JiraSettings(_Section):
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
        """Where the ledger is, without its user and password."""
        _, in_file, place = self.ledger.get_secret_value().partition("///")
        if in_file:
            return place
        url = urlsplit(self.ledger.get_secret_value())
        return f"postgresql://{url.netloc.rpartition('@')[2]}{url.path}"


class Settings(_Section):
    """All settings. `source` says where they come from, for error messages."""

    source: Literal["example"] | str = "example"
    broker: BrokerSettings = BrokerSettings()
    projects: Annotated[dict[ProjectKey, ProjectSettings], Field(min_length=1)]
    statuses: dict[StatusKey, StatusSettings] = {}
    servers: ServersSettings = ServersSettings()
    deploys: DeploysSettings = DeploysSettings()
    window: WindowSettings = WindowSettings()
    retries: RetriesSettings = RetriesSettings()
    jira: JiraSettings = JiraSettings()
    trackers: TrackersSettings = TrackersSettings()
    successes: SuccessesSettings = SuccessesSettings()

    @cached_property
    def catalogue(self) -> Servers:
        """Every server of these settings, and the tracker's words for them."""
        return Servers(self._servers(), self._aliases(), self.known_statuses)

    @property
    def known_statuses(self) -> tuple[str, ...]:
        """The statuses that lead to a server."""
        return tuple(dict.fromkeys([*WELL_KNOWN_STATUSES, *self.statuses]))

    def _aliases(self) -> dict[str, str]:
        aliases: dict[str, str] = {}
        for status in self.known_statuses:
            named = self.statuses.get(status, StatusSettings()).jira
            for word in dict.fromkeys(fold(word) for word in (named if named is not None else (status,))):
                if aliases.setdefault(word, status) != status:
                    raise ValueError(f'"{word}" means both {aliases[word]} and {status}; name it in one of them')
        return aliases

    def _servers(self) -> list[Server]:
        found: dict[str, Server] = {}
        for project, settings in self.projects.items():
            for status in settings.statuses if settings.statuses is not None else self.known_statuses:
                if status not in self.known_statuses:
                    raise ValueError(f"[projects.{project}] statuses: unknown status {status}; add [statuses.{status}]")
                name = _fill(self.servers.name, status, project)
                server = Server(name, status, project)
                if found.setdefault(name, server) != server:
                    raise ValueError(
                        f'[servers] name: {found[name].routing_key} and {server.routing_key} are both "{name}"; '
                        "use {status} and {project} so that names differ"
                    )
        return list(found.values())

    @model_validator(mode="after")
    def _agree(self) -> Self:
        known = {*self.known_statuses, *(server.name for server in self.catalogue)}
        if unknown := next((name for name in self.retries.of if name not in known), None):
            raise ValueError(f"[retries.of] {unknown} is neither a status nor a server of these settings")
        return self


def _fill(pattern: str, status: str, project: str) -> str:
    name = pattern.replace("{status}", status).replace("{project}", project)
    if not _SERVER_NAME.fullmatch(name):
        raise ValueError(f"[servers] name: {name!r} is no server name; letters, digits, dots and dashes, at most 200")
    return name
