"""Checks over HTTP: whether each service is ready, and whether it uses the current settings."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from usher.api.client import Client, base_url
from usher.core.errors import ServiceError
from usher.doctor.finding import Finding, fault, ok, unknown
from usher.settings import Settings
from usher.settings.load import EXAMPLE

RESTART = "restart the services: Ctrl-C in `usher up`, then start it again"
NAMED = 3


@dataclass(frozen=True, slots=True)
class Unread:
    """Settings that running services have not read: they started before the file was changed, or the servers of
    `successes` are others."""

    source: str
    outdated: tuple[str, ...]
    unknown: tuple[str, ...]
    former: tuple[str, ...]

    def finding(self, missing: Collection[str]) -> Finding:
        """The finding about these settings. It is a fault if servers differ, or if queues are `missing`."""
        facts = []
        if self.outdated:
            facts.append(f"it was changed after {', '.join(self.outdated)} started")
        if self.unknown:
            facts.append(f"successes does not know {_names(self.unknown)}")
        if self.former:
            facts.append(f"successes still has {_names(self.former)}")
        if missing and not self.unknown:
            facts.append(f"no service has declared {_names(missing)}")
        if self.unknown or self.former or missing:
            return fault(self.source, f"the running services use other settings: {'; '.join(facts)}", RESTART)
        still = "they still use the old settings, if this is the file they read"
        return unknown(self.source, f"{facts[0]}: {still}", RESTART)


def look_at_services(settings: Settings, services: Collection[str]) -> tuple[list[Finding], Unread | None]:
    """Check that each of these services is ready. And find settings that they have not read."""
    findings, outdated = [], []
    unknown: set[str] = set()
    former: set[str] = set()
    changed_at = _changed_at(settings)
    with Client(settings) as client:
        for service in services:
            base = base_url(getattr(settings, service))
            why = client.ready(service)
            findings.append(fault(service, f"not ready at {base}", why) if why else ok(service, f"ready at {base}"))
            if why:
                continue
            started_at = client.health(service).started_at
            if changed_at and started_at and started_at < changed_at:
                outdated.append(service)
            if service == "successes":
                mine, theirs = {server.name for server in settings.catalogue}, _servers(client)
                unknown, former = (mine - theirs, theirs - mine) if theirs else (set(), set())
    if not (outdated or unknown or former):
        return findings, None
    return findings, Unread(settings.source, tuple(outdated), tuple(sorted(unknown)), tuple(sorted(former)))


def _servers(client: Client) -> set[str]:
    """The servers in the settings of `successes`; none if it does not say."""
    try:
        return {server.server for server in client.servers()}
    except ServiceError:
        return set()


def _changed_at(settings: Settings) -> datetime | None:
    """When the settings file was last written. None for the built-in example."""
    if settings.source == EXAMPLE:
        return None
    return datetime.fromtimestamp(Path(settings.source).stat().st_mtime, UTC)


def _names(names: Collection[str]) -> str:
    shown = ", ".join(list(names)[:NAMED])
    return f"{shown} and {len(names) - NAMED} more" if len(names) > NAMED else shown
