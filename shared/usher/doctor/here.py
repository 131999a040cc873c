"""Checks on this machine: the settings, the command's program, and what other machines can reach."""

import importlib.util
from collections.abc import Collection, Mapping

from usher.api.client import SERVICES
from usher.doctor.finding import Finding, fault, ok, warning
from usher.runtime.wording import count
from usher.settings import Settings
from usher.settings.fields import variables
from usher.settings.runnable import NotRunnable, check_runnable, unkillable
from usher.up.exposure import exposures


def installed() -> tuple[str, ...]:
    """The services that this machine can run. A container has one of them. With none, all of them run elsewhere."""
    return tuple(name for name in SERVICES if importlib.util.find_spec(name))


def look_at_settings(settings: Settings, environ: Mapping[str, str]) -> Finding:
    """Report where the settings come from, and their size."""
    names = sorted(variables(environ).values())
    projects = count(len(settings.projects), "project")
    more = f" and {count(len(names) - 3, 'variable')} more" if len(names) > 3 else ""
    sources = " and ".join((settings.source, *names[:3])) + more
    return ok("settings", f"from {sources}: {projects}, {count(len(settings.catalogue), 'server')}")


def look_at_exposure(settings: Settings, services: Collection[str]) -> list[Finding]:
    """A warning for each of these services that other machines can use without proof of who they are."""
    elsewhere = [name for name in SERVICES if name not in services]
    hidden = {name: getattr(settings, name).model_copy(update={"host": "127.0.0.1"}) for name in elsewhere}
    found = []
    for text in exposures(settings.model_copy(update=hidden)):
        says, _, do = text.removeprefix("WARNING: ").partition(". ")
        found.append(warning("exposure", says, do))
    return found


def look_at_program(settings: Settings, path: str) -> Finding:
    """Check that the command's program exists, on `path` (a PATH)."""
    command = settings.deploys.command
    try:
        check_runnable(settings.deploys, path)
    except NotRunnable as missing:
        return fault("command", f"[deploys] {missing.facts['says']}", str(missing.facts["do"]))
    if command is None:
        return ok("command", "not set: deploys are rehearsed, which logs the command and runs nothing")
    if why := unkillable(settings.deploys, path):
        return warning("command", f"[deploys] {why}", "see docs/command.md for how to do without")
    return ok("command", f"{command[0]} exists")
