"""Checks the guarantees over a run's whole history, and over the journal, the queues and the ledger that it leaves.

Each violation is a sentence and an approximate time.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from crashes.evidence import Evidence, Ran
from crashes.plan import STUCK
from usher.core.events import Outcome
from usher.core.states import TERMINAL, State

FINAL = TERMINAL - {State.RETRIED} | {State.PARKED}
GIVEN_UP = {State.PARKED, State.WITHDRAWN}

TIMEOUT = 60.0
"""[deploys] timeout (s)."""

AT_CALM = 2.0
"""The maximum delay of a deploy after its window closed, in runs without faults (s)."""

AT_STUCK = 2 * TIMEOUT + 10
"""The maximum delay of a deploy after its window closed, while other servers' commands are stuck or time out (s)."""

AT_STOP = 0.5
"""How long after a stop signal a start that was already under way may happen (s)."""


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken guarantee, at about `at` (s)."""

    guarantee: str
    why: str
    at: float

    def __str__(self) -> str:
        return f"[{self.guarantee}] {self.why} (about {self.at:.3f} s)"


def check(seen: Evidence) -> list[Violation]:
    """All violations in a run."""
    return [violation for rule in RULES for violation in rule(seen)]


def own_faults(seen: Evidence) -> Iterator[Violation]:
    """8. Usher has no internal errors, and accepts no rubbish."""
    for entry in seen.history.of("violation"):
        yield Violation("8", str(entry["why"]), entry.at)
    for fault in seen.faults:
        yield Violation("a fault in Usher", fault, seen.ended_at)


def overlaps(seen: Evidence) -> Iterator[Violation]:
    """3. No server ever has two commands at the same time."""
    running: dict[str, Ran] = {}
    for ran in seen.commands:
        before = running.get(ran.server)
        if before and before.until > ran.started_at:
            why = f"{ran.server}: deploy {ran.deploy} of {ran.by} started while {before.deploy} of {before.by} ran"
            yield Violation("3", why, ran.started_at)
        if before is None or before.until <= ran.until:
            running[ran.server] = ran


def rights(seen: Evidence) -> Iterator[Violation]:
    """3. Only granted deploys run, and no end is written before the command has ended.

    Deploys that the journal has lost are not checked.
    """
    for ran in seen.commands:
        if ran.deploy in seen.lost_deploys or seen.lost_after(ran.started_at):
            continue
        if ran.deploy not in seen.granted:
            yield Violation("3", f"deploy {ran.deploy} of {ran.server} ran, but was not granted", ran.started_at)
        elif ran.ended_at is None or seen.finished.get(ran.deploy, ran.ended_at) < ran.ended_at:
            yield Violation("3", f"the end of deploy {ran.deploy} was written while it ran", ran.started_at)


def understanding(seen: Evidence) -> Iterator[Violation]:
    """11. No process acts on a journal that it does not fully understand: none deploys to a held server."""
    for ran in seen.commands:
        if ran.deploy in seen.of_held:
            yield Violation(
                "11", f"deploy {ran.deploy} of {ran.by} ran on {ran.server}, which was held", ran.started_at
            )


def acceptance(seen: Evidence) -> Iterator[Violation]:
    """1. An accepted message was in the broker at that time."""
    for entry in seen.history.of("accepted"):
        if not seen.kept_by(str(entry["message"]), entry):
            yield Violation("1", f"{entry['message']} was accepted, but the broker did not have it", entry.at)


def terminal_states(seen: Evidence) -> Iterator[Violation]:
    """2 and 5. Each accepted message reaches a terminal state, for a valid reason.

    Valid reasons: a command with its issue started after the message was published, and passed; a person withdrew
    the issue; or a command failed. A message that the journal lost and a person removed from its queue is not checked.
    """
    if not seen.settled:
        yield Violation("2", f"the run did not come to rest: {seen.unrest}", seen.ended_at)
    for entry in seen.accepted():
        message, issue, server = (str(entry[name]) for name in ("message", "issue", "server"))
        states = seen.ends_of(message)
        published_at = seen.asked_at.get(message, entry.at)
        passed = any(ran.passed and issue in ran.issues and ran.started_at >= published_at for ran in seen.of(server))
        if states == {None} and seen.lost_messages & {message}:
            # unrouted messages are kept for a person, who sees them there
            if not passed and message not in seen.taken_out and message not in seen.left.get("usher.unrouted", ()):
                yield Violation(
                    "2", f"{issue} ({message}) is gone: the journal lost it, and no command got it", entry.at
                )
        elif not states <= FINAL:
            yield Violation("2", f"{issue} ({message}) ends as {seen.words(states)}", entry.at)
        elif not (passed or states & GIVEN_UP or seen.given_up(message, server, issue)):
            why = (
                f"{issue} ({message}) is {seen.words(states)}, but no command that started after its publication passed"
            )
            yield Violation("5", why, entry.at)
        elif State.WITHDRAWN in states and not seen.ordered(server, issue):
            yield Violation("2", f"{issue} ({message}) is withdrawn, but nobody ordered that", entry.at)
        elif State.PARKED in states and not any(issue in ran.issues and not ran.passed for ran in seen.of(server)):
            yield Violation("2", f"{issue} ({message}) is parked, but no command failed", entry.at)


def agreement(seen: Evidence) -> Iterator[Violation]:
    """2. The board and the ledger agree.

    A message that passed stays deployed in the ledger, whatever the journal says about its deploy. After a loss in the
    journal, the ledger may know more than the board, but never less.
    """
    for message in sorted(seen.known):
        board, ledger = seen.board.state(message), seen.ledger.get(message)
        if ledger is None and board in TERMINAL and message not in seen.received:
            continue  # a next attempt that was superseded before it was published
        if board == ledger or (seen.lost and (board is None or ledger == State.DEPLOYED)):
            continue
        if ledger in (State.DEPLOYED, State.SUPERSEDED) and message in seen.passed_messages:
            continue
        if seen.lost and (ledger in TERMINAL or message in seen.lost_messages):
            continue
        yield Violation("2", f"{message} is {board} on the board and {ledger} in the ledger", seen.ended_at)
    for deploy in sorted(seen.unended):
        if deploy not in seen.lost_deploys and not seen.lost:
            yield Violation("2", f"deploy {deploy} has no end in the ledger", seen.ended_at)


def leftovers(seen: Evidence) -> Iterator[Violation]:
    """2. Only parked messages (that the board knows) and unrouted messages are left in queues."""
    for queue, left in seen.left.items():
        if left and queue not in ("usher.parked", "usher.unrouted"):
            yield Violation("2", f"{len(left)} messages are left in {queue}: {sorted(set(left))[:3]}", seen.ended_at)
    if seen.left.get("usher.unrouted") and "delete" not in seen.operator:
        yield Violation("2", "messages are unrouted, but nobody deleted a queue", seen.ended_at)
    parked, known = set(seen.left.get("usher.parked", ())), set(seen.parked)
    if not seen.lost:
        if settled := {m for m in parked - known if seen.board.state(m) is not None}:
            yield Violation("2", f"{sorted(settled)} are in usher.parked, but settled", seen.ended_at)
        if unknown := parked - known - settled:
            yield Violation("2", f"{sorted(unknown)} are in usher.parked, but unknown to the journal", seen.ended_at)
    if "purge usher.parked" not in seen.operator and (missing := known - parked) and not seen.lost:
        yield Violation("2", f"{sorted(missing)} are parked, but not in usher.parked", seen.ended_at)


def stops(seen: Evidence) -> Iterator[Violation]:
    """7. After the stop signal no command starts, and no command outlives the process, unless it cannot be killed."""
    for entry in seen.history.of("told to stop"):
        who = str(entry["who"])
        frozen = any(e["who"] == who for e in seen.history.of("frozen"))
        for ran in seen.commands:
            if ran.by == who and ran.started_at > entry.at + AT_STOP and not frozen:
                yield Violation("7", f"{who} was told to stop, but started deploy {ran.deploy}", ran.started_at)
        for exited in (e for e in seen.history.of("exited") if e["who"] == who):
            for ran in seen.commands:
                if ran.by == who and not ran.refuses and (ran.ended_at is None or ran.ended_at > exited.at):
                    yield Violation("7", f"{who} has ended, but deploy {ran.deploy} is still running", exited.at)


def sameness(seen: Evidence) -> Iterator[Violation]:
    """6. The same move received again is the same message. Without faults, no message is deployed twice."""
    ids: dict[object, set[object]] = {}
    for entry in seen.history.of("accepted"):
        if entry["number"] in seen.jira_moves:
            ids.setdefault(entry["number"], set()).add(entry["message"])
    for number, same in ids.items():
        if len(same) > 1:
            yield Violation("6", f"move {number} became {len(same)} messages", seen.ended_at)
    for ran in seen.commands:
        if len(set(ran.issues)) < len(ran.issues):
            yield Violation("6", f"deploy {ran.deploy} got an issue twice: {ran.issues}", ran.started_at)
    if seen.plan.calm:
        covered = [m for d, batch in seen.granted.items() if seen.outcomes.get(d) is Outcome.PASSED for m in batch]
        for message in {m for m in covered if covered.count(m) > 1}:
            yield Violation("6", f"{message} was deployed twice in a run without faults", seen.ended_at)


def acks(seen: Evidence) -> Iterator[Violation]:
    """2. A message is acked only when it is settled in the journal, and a result is in the reply queue before it is in
    the journal. So no crash in between loses anything."""
    for ack in seen.unsettled_acks:
        yield Violation("2", f"{ack['by']} acked {ack['id']}, which was not settled in the journal", ack.at)
    for deploy, (replied_at, written_at) in seen.results.items():
        if replied_at > written_at:
            yield Violation("2", f"the journal had the result of {deploy} before the reply queue", written_at)


def truth(seen: Evidence) -> Iterator[Violation]:
    """7. The outcome of a deploy matches what its command did. A killed command has not failed."""
    for ran in seen.commands:
        outcome = seen.outcomes.get(ran.deploy)
        lasted = ran.until - ran.started_at
        fits = {
            None: True,
            Outcome.PASSED: ran.code == 0,
            Outcome.FAILED: ran.code is not None and ran.code > 0,
            Outcome.TIMED_OUT: lasted >= TIMEOUT,
            Outcome.INTERRUPTED: True,
        }
        if not fits[outcome]:
            why = f"deploy {ran.deploy} is {outcome}, but its command ended with {ran.code} after {lasted:.1f} s"
            yield Violation("7", why, ran.started_at)


def quiet(seen: Evidence) -> Iterator[Violation]:
    """4 and 12. Whatever other servers do or suffer, the windows of a quiet server close in time, and its commands run
    to their ends."""
    guarantee = "4" if seen.plan.calm else "12"
    for taking in (one for one in seen.takings if one.server in seen.plan.quiet):
        if taking.at > taking.due_at + AT_CALM:
            why = f"deploy {taking.deploy} was taken {taking.at - taking.due_at:.1f} s after its window closed"
            yield Violation(guarantee, why, taking.at)
    for ran in (one for server in sorted(seen.plan.quiet) for one in seen.of(server)):
        if seen.outcomes.get(ran.deploy) is Outcome.INTERRUPTED:
            yield Violation(guarantee, f"deploy {ran.deploy} of {ran.server} was interrupted", ran.started_at)


def patience(seen: Evidence) -> Iterator[Violation]:
    """12. A command that cannot be killed keeps no slot: other servers wait at most for commands that end in time."""
    if seen.plan.story != STUCK or seen.plan.faults:
        return
    stuck = {ran.server for ran in seen.commands if ran.refuses}
    for taking in (one for one in seen.takings if one.server not in stuck):
        if taking.at > taking.due_at + AT_STUCK:
            why = f"deploy {taking.deploy} was taken {taking.at - taking.due_at:.1f} s after its window closed"
            yield Violation("12", why, taking.at)


def calm(seen: Evidence) -> Iterator[Violation]:
    """6. Without faults, each received move counts once."""
    if not seen.plan.calm:
        return
    accepted: dict[str, int] = {}
    for entry in seen.history.of("accepted"):
        accepted[str(entry["message"])] = accepted.get(str(entry["message"]), 0) + 1
    for message, times in accepted.items():
        if (counted := seen.board.received.get(message, 1)) != times:
            yield Violation(
                "6", f"{message} was accepted {times} times, but the board counted {counted}", seen.ended_at
            )


def orders(seen: Evidence) -> Iterator[Violation]:
    """Every confirmed order is carried out once, and changes nothing newer than itself. An order may be unknown only if
    the journal lost that it was carried out."""
    for why in seen.orders.wrong:
        yield Violation("order", why, seen.ended_at)
    for order, at in seen.orders.early.items():
        if order not in seen.orders.lost:
            yield Violation("order", f"order {order} was acked, but not carried out", at)
    kinds = ("confirmed order.withdraw", "confirmed order.retry", "confirmed order.drop")
    taken = {str(entry["id"]): entry.at for entry in seen.history.of(*kinds)}
    taken |= {str(entry["id"]): entry.at for entry in seen.history.of("order answered")}
    for order, at in taken.items():
        entry = seen.board.orders.get(order)
        if entry is None and order not in seen.orders.lost:
            yield Violation("order", f"order {order} was confirmed, but nobody knows it", at)
        if entry is not None and entry.done_at is None:
            yield Violation("order", f"order {order} is not carried out", at)


RULES = (
    own_faults,
    overlaps,
    rights,
    understanding,
    acceptance,
    terminal_states,
    agreement,
    leftovers,
    stops,
    sameness,
    acks,
    truth,
    quiet,
    patience,
    calm,
    orders,
)
