"""Checks on this machine: the settings, the command's program, the services."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from usher.api.client import SERVICES, Client, base_url
from usher.doctor.finding import Finding, fault, ok, unknown
from usher.runtime.wording import count
from usher.settings import Settings
from usher.settings.fields import variables
from usher.settings.load import EXAMPLE
from usher.settings.runnable import NotRunnable, check_runnable


def look_at_settings(settings: Settings, environ: Mapping[str, str]) -> Finding:
    """Report where the settings come from, and their size."""
    names = sorted(variables(environ).values())
    projects = count(len(settings.projects), "project")
    more = f" and {count(len(names) - 3, 'variable')} more" if len(names) > 3 else ""
    sources = " and ".join((settings.source, *names[:3])) + more
    return ok("settings", f"from {sources}: {projects}, {count(len(settings.catalogue), 'server')}")


def look_at_program(settings: Settings, path: str) -> Finding:
    """Check that the command's program exists, on `path` (a PATH)."""
    command = settings.deploys.command
    try:
        check_runnable(settings.deploys, path)
    except NotRunnable as missing:
        return fault("command", f"[deploys] {missing.facts['says']}", str(missing.facts["do"]))
    if command is None:
        return ok("command", "not set: deploys are rehearsed, which logs the command and runs nothing")
    return ok("command", f"{command[0]} exists")


def look_at_services(settings: Settings) -> list[Finding]:
    """Check that each service is ready, and that it started after the last change of the settings."""
    findings, outdated = [], []
    changed_at = _changed_at(settings)
    with Client(settings) as client:
        for service in SERVICES:
            base = base_url(getattr(settings, service))
            why = client.ready(service)
            findings.append(fault(service, f"not ready at {base}", why) if why else ok(service, f"ready at {base}"))
            started_at = None if why else client.health(service).started_at
            if changed_at and started_at and started_at < changed_at:
                outdated.append(service)
    return findings + ([_outdated(settings, outdated)] if outdated else [])


def _changed_at(settings: Settings) -> datetime | None:
    """When the settings file was last written. None for the built-in example."""
    if settings.source == EXAMPLE:
        return None
    return datetime.fromtimestamp(Path(settings.source).stat().st_mtime, UTC)


def _outdated(settings: Settings, services: list[str]) -> Finding:
    return unknown(
        settings.source,
        f"it was changed after {', '.join(services)} started: they still use the old settings, if this is the file "
        "they read",
        "restart them: Ctrl-C in `usher up`, then start it again",
    )
