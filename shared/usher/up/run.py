"""Runs all of Usher in one terminal. This is an entry point, so it handles signals."""

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from usher.core.errors import UsherError
from usher.local.choose import running_broker
from usher.runtime.locks import FileLocks, StillRunning
from usher.runtime.signals import interrupts
from usher.runtime.wording import harmless
from usher.settings import Settings
from usher.settings.runnable import check_runnable
from usher.settings.sections import DeploysSettings
from usher.up.claim import claimed
from usher.up.screen import Log, show
from usher.up.services import check_ports, programs, running_services
from usher.up.supervisor import Program

FOLDER = Path(".usher/broker")
DYING = 5.0
"""How many seconds more than `grace` a command may take to end."""
INTERRUPTED = 130


def run(settings: Settings, wanted: Sequence[Program] | None = None) -> int:
    """Run a broker if none is configured, and the services (`wanted`, or all three), until Ctrl-C, SIGTERM or SIGHUP.

    Everything stops in order within 15 s plus the time that `drain` gives to running commands. A second Ctrl-C kills
    everything. If a command cannot be killed, that is an error, which names its processes. Returns the exit code: 0, or
    1 with a sentence on standard error, or 130 after a second Ctrl-C.
    """
    log = Log(Console(highlight=False, markup=False))
    with interrupts():
        try:
            wanted = programs(settings) if wanted is None else wanted
            with claimed(FOLDER.parent, wanted):
                _run(settings, wanted, log)
        except UsherError as fault:
            log.close()
            Console(stderr=True, highlight=False, markup=False).print(f"usher: {harmless(str(fault))}", soft_wrap=True)
            return 1
        except KeyboardInterrupt:
            held = [*FileLocks(Path(settings.deploys.logs)).held()]
            log.say(f"killed the services; {StillRunning.of(held)}" if held else "killed everything")
            return INTERRUPTED
        finally:
            log.close()
    return 0


def _run(settings: Settings, wanted: Sequence[Program], log: Log) -> None:
    check_ports(wanted)
    check_runnable(settings.deploys, os.environ.get("PATH", os.defpath))
    if settings.broker.url:
        log.say("connecting to the broker in [broker] url")
    with running_broker(settings, FOLDER, say=log.say) as broker:
        urls = [url.get_secret_value() for url in settings.broker.url] or [broker.url]
        services = None
        try:
            with running_services(wanted, {"USHER_BROKER__URL": json.dumps(urls)}, log.report) as services:
                services.wait_ready()
                show(log, settings, broker, wanted)
                services.wait()
        except KeyboardInterrupt:
            if services is None or not services.stopped:
                raise  # the second Ctrl-C
        if not settings.broker.url:
            log.say("stopping the broker")
    _check_commands(settings.deploys)
    log.say("everything has stopped")


def _check_commands(settings: DeploysSettings) -> None:
    """Wait until the commands on this machine have ended, as their guards make them. Raises StillRunning."""
    locks, deadline = FileLocks(Path(settings.logs)), time.monotonic() + settings.grace.total_seconds() + DYING
    while held := [*locks.held()]:
        if time.monotonic() > deadline or all(locking.pids for _, locking in held):
            raise StillRunning.of(held)
        time.sleep(0.1)
