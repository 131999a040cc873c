"""The doctor: checks everything that Usher needs, and says how to fix each fault. It changes nothing."""

import asyncio
import os
from collections.abc import Mapping

from usher.api.client import SERVICES
from usher.core.errors import SettingsError
from usher.doctor.broker import look_at_broker, missing_queues, together
from usher.doctor.console import look_at_console
from usher.doctor.finding import Finding, Verdict, fault
from usher.doctor.here import installed, look_at_exposure, look_at_program, look_at_settings
from usher.doctor.services import look_at_services
from usher.local.choose import Broker, console_of, running_in
from usher.settings import Settings, load
from usher.up import FOLDER

__all__ = ["Finding", "Verdict", "examine"]


def examine(environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Check settings, exposure, command, broker, queues, policies and services, in this order.

    If something is broken, the checks that depend on it are skipped. Without valid settings there are no others.
    Settings that the running services have not read come first, and explain queues that are missing. Where only some
    services are installed, as in a container, only these are checked.
    """
    environ = os.environ if environ is None else environ
    try:
        settings = load(environ)
    except SettingsError as wrong:
        return [fault("settings", str(wrong), "fix this first; `usher init` writes a valid file")]
    services = installed() or SERVICES
    findings = [look_at_settings(settings, environ), *look_at_exposure(settings, services)]
    if "deploys" in services:
        findings.append(look_at_program(settings, environ.get("PATH", os.defpath)))
    answers, unread = look_at_services(settings, services)
    queues = _look_at_queues(settings)
    if unread:
        explained = missing_queues(queues)
        queues = [finding for finding in queues if finding not in explained]
        findings.insert(0, unread.finding([finding.about for finding in explained]))
    return [*findings, *together(queues), *answers]


def _look_at_queues(settings: Settings) -> list[Finding]:
    urls = [url.get_secret_value() for url in settings.broker.url]
    broker = Broker(urls[0], console_of(urls[0]), "the one in [broker] url") if urls else running_in(FOLDER)
    found = asyncio.run(look_at_broker(broker, settings))
    if broker and found[-1].about != "broker":
        found += look_at_console(broker, settings)
    return found
