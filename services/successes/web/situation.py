"""One answer to "what does this server do, why, and until when?". The API and every screen show it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from usher.core.board.entries import Taking
from usher.core.board.pending import Pending
from usher.core.board.server import ServerBoard
from usher.core.events import DeployStuck, Outcome, TakeoverWaited
from usher.core.orders import HoldOrder
from usher.core.scopes import Scope
from usher.runtime.wording import count, span
from usher.settings import Settings

REPORTING = 60_000
"""How long (ms) after its time limit a deploy may take to report its end."""

TAKING = 5_000
"""How long (ms) after its window closes, or a take-over wait ends, a deploy may take to start if a slot is free."""


@dataclass(frozen=True, slots=True)
class Situation:
    """The state of a server, and why. Times are in ms.

    It has been so since `since`. It changes by itself at `next_change`, because of `next_reason`. Without these, nobody
    knows when it changes.
    """

    state: str
    reason: str
    since: int | None = None
    next_change: int | None = None
    next_reason: str | None = None
    by: str | None = None


def situation(
    board: ServerBoard, holds: Collection[HoldOrder], settings: Settings, running: int, now: int
) -> Situation:
    """The situation of a server at `now` (ms), while `holds` stand on it and that many servers are deploying."""
    if board.stuck:
        return _stuck(next(iter(board.stuck.values())))
    if board.waited and now < board.waited.until + TAKING:
        return _recovering(board.waited)
    if board.running:
        return _deploying(board.running, settings, now)
    if stopping := [hold for hold in holds if not hold.warning]:
        return _held(stopping)
    if board.pending:
        return _waiting(board.pending, settings, running, now)
    return _troubled(board) or Situation("idle", "nothing is pending")


def _stuck(stuck: DeployStuck) -> Situation:
    ended = f"`usher abort --gone {stuck.deploy}` says that it has ended, if Usher cannot see it"
    return Situation("stuck", f"deploy {stuck.deploy}: {stuck.reason}; no other deploy begins; {ended}", stuck.at)


def _recovering(waited: TakeoverWaited) -> Situation:
    lost = f"the process that ran deploy {waited.deploy}" if waited.deploy else "the previous holder of its turn"
    reason = f"{lost} was lost; its command may still be running"
    return Situation("recovering", reason, waited.at, waited.until, "its command is dead by then, at the latest")


def _deploying(taking: Taking, settings: Settings, now: int) -> Situation:
    event, limit = taking.event, settings.deploys.timeout
    stopped_at = event.taken_at + _millis(limit)
    if now > stopped_at + _millis(settings.deploys.grace) + REPORTING:
        late = f"deploy {event.deploy} may run for {span(limit)}, but has not reported its end"
        return Situation("overdue", f"{late}; is `deploys` running? Run `usher doctor`", event.taken_at)
    reason = f"deploy {event.deploy} has begun, and has not reported its end"
    return Situation("deploying", reason, event.taken_at, stopped_at, "its time limit ends")


def _held(holds: Sequence[HoldOrder]) -> Situation:
    """Held until the last of these holds has ended. If one has no end, nobody knows when that is."""
    first, ends = holds[0], [hold.until for hold in holds if hold.until is not None]
    reason = "; ".join(f"{hold.by} holds {Scope.of(hold.scope).words}: {hold.reason}" for hold in holds)
    if len(ends) < len(holds):
        return Situation("held", f"{reason} (no end is known)", first.at, by=first.by)
    ending = "the hold ends" if len(holds) == 1 else "the last hold ends"
    return Situation("held", reason, first.at, max(ends), ending, first.by)


def _waiting(pending: Pending, settings: Settings, running: int, now: int) -> Situation:
    window, opened = settings.window.window(), min(pending.arrivals + pending.due)
    closes = window.closes_at(pending.arrivals, pending.due)
    if pending.due:
        rule = "a retry is due"
    elif closes >= opened + window.cap:
        rule = f"the window closes {_span(window.cap)} after the first message, at the latest"
    else:
        rule = f"the window closes {_span(window.quiet)} after the last message"
    if now < closes:
        return Situation("waiting", "a retry is due" if pending.due else "its window is open", opened, closes, rule)
    closed = "a retry is due" if pending.due else "its window has closed"
    if running >= settings.deploys.parallel:
        why = f"{closed}; it waits for a free slot ({count(running, 'deploy')} running)"
    elif now < closes + TAKING:
        why = f"{closed}; its deploy is about to begin"
    else:
        why = f"{closed}, but no `deploys` has begun its deploy; is one running? Run `usher doctor`"
    return Situation("waiting", why, opened)


def _troubled(board: ServerBoard) -> Situation | None:
    """The situation of a server that waits for nothing but has messages that failed; None if it has none."""
    if not (board.failed or board.retrying):
        return None
    parts = (
        (len(board.retrying), "waits for its next attempt", "wait for their next attempts"),
        (len(board.undecided), "has just failed", "have just failed"),
        (len(board.parked), "is parked until somebody decides", "are parked until somebody decides"),
    )
    reason = ", ".join(f"{count(n, 'message')} {one if n == 1 else many}" for n, one, many in parts if n)
    due = min((message.queued_at for message in board.retrying.values()), default=None)
    failing = board.last is not None and board.last.outcome is not Outcome.PASSED
    state = "failing" if failing else "retrying" if board.retrying else "parked"
    since = board.last.at if failing and board.last else None
    return Situation(state, reason, since, due, None if due is None else "the next attempt is due")


def _millis(length: timedelta) -> int:
    return length // timedelta(milliseconds=1)


def _span(millis: int) -> str:
    return span(timedelta(milliseconds=millis))
