"""The doctor: looks at everything that Usher needs, and says what to do about each fault. It changes nothing."""

import asyncio
import os
from collections.abc import Mapping

from usher.doctor.broker import look_at_broker
from usher.doctor.console import look_at_console
from usher.doctor.finding import Finding, Verdict, fault
from usher.doctor.here import look_at_program, look_at_services, look_at_settings
from usher.errors import SettingsError
from usher.settings import load

__all__ = ["Finding", "Verdict", "examine"]


def examine(environ: Mapping[str, str] | None = None) -> list[Finding]:
    """Look at settings, program, broker, topology, policies and services, in this order.

    What stands on something that is broken is not looked at: without settings, nothing else.
    """
    environ = os.environ if environ is None else environ
    try:
        settings = load(environ)
    except SettingsError as wrong:
        return [fault("settings", str(wrong), "correct that first; `usher init` writes a file that loads")]
    findings = [look_at_settings(settings, environ), look_at_program(settings)]
    from_broker = asyncio.run(look_at_broker(settings))
    findings += from_broker
    if not any(finding.about == "broker" and finding.verdict is not Verdict.OK for finding in from_broker):
        findings += look_at_console(settings)
    return findings + look_at_services(settings)
