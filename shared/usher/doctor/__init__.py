"""The doctor: checks everything that Usher needs, and says how to fix each fault. It changes nothing."""

import asyncio
import os
from collections.abc import Mapping

from usher.core.errors import SettingsError
from usher.doctor.broker import look_at_broker
from usher.doctor.console import look_at_console
from usher.doctor.finding import Finding, Verdict, fault
from usher.doctor.here import look_at_program, look_at_services, look_at_settings
from usher.local.choose import Broker, console_of, running_in
from usher.settings import load
from usher.up import FOLDER

__all__ = ["Finding", "Verdict", "examine"]


def examine(environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Check settings, command, broker, queues, policies and services, in this order.

    If something is broken, the checks that depend on it are skipped. Without valid settings there are no others.
    """
    environ = os.environ if environ is None else environ
    try:
        settings = load(environ)
    except SettingsError as wrong:
        return [fault("settings", str(wrong), "fix this first; `usher init` writes a valid file")]
    findings = [look_at_settings(settings, environ), look_at_program(settings, environ.get("PATH", os.defpath))]
    urls = [url.get_secret_value() for url in settings.broker.url]
    broker = Broker(urls[0], console_of(urls[0]), "the one in [broker] url") if urls else running_in(FOLDER)
    findings += asyncio.run(look_at_broker(broker, settings))
    if broker and findings[-1].about != "broker":
        findings += look_at_console(broker, settings)
    return findings + look_at_services(settings)
