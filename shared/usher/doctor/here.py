"""What can be seen from this machine alone: the settings, the command's program, the services."""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from usher.client import SERVICES, Client, base_url
from usher.doctor.finding import Finding, fault, ok
from usher.settings import Settings
from usher.settings.load import PREFIX


def look_at_settings(settings: Settings, environ: Mapping[str, str]) -> Finding:
    """Where the settings come from, and what they amount to."""
    names = sorted(name for name in environ if name.startswith(PREFIX) and "__" in name)
    sources = " and ".join((settings.source, *names))
    return ok("settings", f"from {sources}: {len(settings.projects)} projects, {len(settings.catalogue)} servers")


def look_at_program(settings: Settings) -> Finding:
    """Whether the command's program is there, for this user's PATH."""
    deploys = settings.deploys
    if deploys.command is None:
        return ok("command", "not set: deploys are rehearsed, that is, said and not run")
    program = deploys.command[0]
    if not Path(deploys.cwd).is_dir():
        return fault("command", f"[deploys] cwd: there is no folder {deploys.cwd}", "create it, or name another")
    if "{" in program or shutil.which(program) or os.access(Path(deploys.cwd) / program, os.X_OK):
        return ok("command", f"{program} is there")
    return fault(
        "command", f"[deploys] command: there is no program {program} on PATH", "install it, or name its whole path"
    )


def look_at_services(settings: Settings) -> list[Finding]:
    """Whether each service says that it is ready."""
    findings = []
    with Client(settings) as client:
        for service in SERVICES:
            base = base_url(getattr(settings, service))
            why = client.ready(service)
            findings.append(fault(service, f"not ready at {base}", why) if why else ok(service, f"ready at {base}"))
    return findings
