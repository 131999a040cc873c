"""Deploys that have not ended: those of a holder that was lost, and those whose commands cannot be killed."""

import logging
from collections.abc import Iterator

from deploys.context import Context
from deploys.waits import Waits
from usher.core.errors import BrokerError, NotConfirmed
from usher.core.events import DeployInterrupted, DeployStuck, DeployTaken, TakeoverWaited
from usher.core.servers import Server
from usher.runtime.wording import process

log = logging.getLogger(__name__)

CHECK = 5.0
"""Seconds between two looks whether a stuck command has ended."""


async def end_unfinished(context: Context, server: Server, waits: Waits, taken: DeployTaken, dead_at: float) -> None:
    """Wait until another holder's deploy ends, at most until `dead_at` (s): then write that it was interrupted.

    If its command is still running on this machine, write that it is stuck instead.
    """
    left = dead_at - context.clock.monotonic()
    if left > 0:
        log.info("%s: deploy %s has not reported its end; waiting up to %.0f s", server, taken.deploy, left)
        await show_wait(context, server, left, taken.deploy)
        board, changed = context.journal.board, context.journal.changed(server.name)
        while (running := board.server(server.name).running) and running.event.deploy == taken.deploy and left > 0:
            changed.clear()
            await waits.sleep(left, changed)
            left = dead_at - context.clock.monotonic()
        return
    lost, now = f"{process(taken.holder)}, which ran it, was lost", context.clock.now()
    locking = context.runner.locking(server.name)
    if locking.held and locking.deploy == taken.deploy:
        reason = f"{lost}; the command could not be killed"
        await context.journal.append(
            DeployStuck(
                deploy=taken.deploy,
                server=taken.server,
                by=context.holder,
                reason=reason,
                pids=locking.pids,
                user=locking.user,
                at=now,
            )
        )
        log.error("! deploy %s of %s: %s", taken.deploy, server, reason)
        return
    await context.journal.append(
        DeployInterrupted(deploy=taken.deploy, server=taken.server, by=context.holder, reason=lost, at=now)
    )
    log.warning("! deploy %s of %s was interrupted: %s was lost", taken.deploy, server, process(taken.holder))


async def show_wait(context: Context, server: Server, left: float, deploy: str | None) -> None:
    """Write that the holder of a turn keeps a take-over wait of `left` seconds, for people to see."""
    now = context.clock.now()
    await context.journal.append(
        TakeoverWaited(server=server.name, holder=context.holder, deploy=deploy, until=now + round(left * 1000), at=now)
    )


async def until_gone(context: Context, server: Server, waits: Waits) -> None:
    """Wait until no stuck command of the server is left: until the journal says so."""
    board, changed = context.journal.board, context.journal.changed(server.name)
    try:
        while stuck := board.server(server.name).stuck:
            first = next(iter(stuck.values()))
            if context.troubles.get(server.name) != first.reason:
                context.troubles[server.name] = first.reason
                log.error("! %s: no command starts until deploy %s has ended: %s", server, first.deploy, first.reason)
            changed.clear()
            await waits.sleep(CHECK, changed)
    finally:
        context.troubles.pop(server.name, None)


async def keep_looking(context: Context) -> None:
    """Write when a stuck command has ended that ran on this machine: its lock is then free. It never ends by itself.

    This does not depend on who holds the server's turn.
    """
    while True:
        await context.clock.sleep(CHECK)
        try:
            for stuck in [*_stuck(context)]:
                await _look(context, stuck)
        except NotConfirmed as fault:
            log.warning("! %s; trying again in %.0f s", fault, CHECK)
        except BrokerError:
            return


def _stuck(context: Context) -> Iterator[DeployStuck]:
    if not context.journal.halted.is_set():
        for name in context.journal.board:
            yield from context.journal.board.server(name).stuck.values()


async def _look(context: Context, stuck: DeployStuck) -> None:
    locking = context.runner.locking(stuck.server)
    if not locking.shows_end_of(stuck.deploy):
        return
    reason, now = f"{stuck.reason}; it has ended since", context.clock.now()
    gone = DeployInterrupted(
        deploy=stuck.deploy, server=stuck.server, by=context.holder, reason=reason, at=now, gone=True
    )
    await context.journal.append(gone)
    log.warning("deploy %s of %s, which could not be killed, has ended", stuck.deploy, stuck.server)
