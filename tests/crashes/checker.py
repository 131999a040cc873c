"""What always holds, checked over the whole history of a run, the journal, the queues and the ledger that it left.

Each violation is a sentence, and the time about which to look.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from crashes.evidence import Evidence, Ran
from usher.core.events import Outcome
from usher.core.states import TERMINAL, State

FINAL = TERMINAL - {State.RETRIED} | {State.PARKED}
GIVEN_UP = {State.PARKED, State.WITHDRAWN}

TIMEOUT = 60.0
"""[deploys] timeout (s)."""

AT_CALM = 2.0
"""Seconds that a window may close late when nothing goes wrong."""

AT_STOP = 0.5
"""Seconds after a signal within which a start that was on its way may still arrive."""


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that must not be; about `at` (s)."""

    guarantee: str
    why: str
    at: float

    def __str__(self) -> str:
        return f"[{self.guarantee}] {self.why} (about {self.at:.3f} s)"


def check(seen: Evidence) -> list[Violation]:
    """Everything that must not be in that run."""
    return [violation for rule in RULES for violation in rule(seen)]


def own_faults(seen: Evidence) -> Iterator[Violation]:
    """Usher never meets a fault of its own, and takes no rubbish."""
    for entry in seen.history.of("violation"):
        yield Violation("8", str(entry["why"]), entry.at)
    for fault in seen.faults:
        yield Violation("a fault in Usher", fault, seen.ended_at)


def overlaps(seen: Evidence) -> Iterator[Violation]:
    """3. Never two commands of one server at the same time."""
    running: dict[str, Ran] = {}
    for ran in seen.commands:
        before = running.get(ran.server)
        if before and before.until > ran.started_at:
            why = f"{ran.server}: deploy {ran.deploy} of {ran.by} started while {before.deploy} of {before.by} ran"
            yield Violation("3", why, ran.started_at)
        if before is None or before.until <= ran.until:
            running[ran.server] = ran


def rights(seen: Evidence) -> Iterator[Violation]:
    """3. Nothing runs but what the journal granted, and no end is written before the command has ended.

    What a loss took from the journal cannot be looked up.
    """
    for ran in seen.commands:
        if ran.deploy in seen.lost_deploys or seen.lost_after(ran.started_at):
            continue
        if ran.deploy not in seen.granted:
            yield Violation("3", f"deploy {ran.deploy} of {ran.server} ran and was not granted", ran.started_at)
        elif ran.ended_at is None or seen.finished.get(ran.deploy, ran.ended_at) < ran.ended_at:
            yield Violation("3", f"the end of deploy {ran.deploy} was written while it ran", ran.started_at)


def understanding(seen: Evidence) -> Iterator[Violation]:
    """11. No process acts on a journal that it does not fully understand: an older one does not run through a hold."""
    for ran in seen.commands:
        if ran.deploy in seen.of_held:
            yield Violation(
                "11", f"deploy {ran.deploy} of {ran.by} ran on {ran.server}, which was held", ran.started_at
            )


def acceptance(seen: Evidence) -> Iterator[Violation]:
    """1. What was accepted was in the broker by then."""
    for entry in seen.history.of("accepted"):
        if not seen.kept_by(str(entry["message"]), entry):
            yield Violation("1", f"{entry['message']} was accepted, and the broker did not have it", entry.at)


def last_states(seen: Evidence) -> Iterator[Violation]:
    """2 and 5. Each accepted message comes to a last state, and for the right reason: a command that passed had its
    issue and started after it was told; somebody withdrew it; or a command failed. What a person took out of a queue
    after the journal had lost it, too, nobody can know of."""
    if not seen.settled:
        yield Violation("2", f"it did not come to rest: {seen.unrest}", seen.ended_at)
    for entry in seen.accepted():
        message, issue, server = (str(entry[name]) for name in ("message", "issue", "server"))
        states = seen.ends_of(message)
        told_at = seen.asked_at.get(message, entry.at)
        passed = any(ran.passed and issue in ran.issues and ran.started_at >= told_at for ran in seen.of(server))
        if states == {None} and seen.lost_messages & {message}:
            # what found no queue is kept for a person, who sees it there
            if not passed and message not in seen.taken_out and message not in seen.left.get("usher.unrouted", ()):
                yield Violation(
                    "2", f"{issue} ({message}) is gone: the journal lost it and no command had it", entry.at
                )
        elif not states <= FINAL:
            yield Violation("2", f"{issue} ({message}) ends as {seen.words(states)}", entry.at)
        elif not (passed or states & GIVEN_UP or seen.given_up(message, server, issue)):
            why = f"{issue} ({message}) is {seen.words(states)}, and no command that started after it was told passed"
            yield Violation("5", why, entry.at)
        elif State.WITHDRAWN in states and not seen.ordered(server, issue):
            yield Violation("2", f"{issue} ({message}) is withdrawn, and nobody said so", entry.at)
        elif State.PARKED in states and not any(issue in ran.issues and not ran.passed for ran in seen.of(server)):
            yield Violation("2", f"{issue} ({message}) is parked, and no command failed", entry.at)


def agreement(seen: Evidence) -> Iterator[Violation]:
    """2. The board and the ledger say the same. What has passed stays deployed in the ledger, whatever became of its
    deploy in the journal: that is its rule. After the journal's loss the ledger may know more, never less."""
    for message in sorted(seen.known):
        board, ledger = seen.board.state(message), seen.ledger.get(message)
        if ledger is None and board in TERMINAL and message not in seen.told:
            continue  # a next attempt that was unwanted before anybody told it
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
    """Nothing is left in a queue but what is parked (and known to be so) and what found no queue."""
    for queue, left in seen.left.items():
        if left and queue not in ("usher.parked", "usher.unrouted"):
            yield Violation("2", f"{len(left)} messages are left in {queue}: {sorted(set(left))[:3]}", seen.ended_at)
    if seen.left.get("usher.unrouted") and "delete" not in seen.operator:
        yield Violation("2", "messages found no queue, and nobody had deleted one", seen.ended_at)
    parked, known = set(seen.left.get("usher.parked", ())), set(seen.parked)
    if not seen.lost:
        if settled := {m for m in parked - known if seen.board.state(m) is not None}:
            yield Violation("2", f"{sorted(settled)} are in usher.parked and settled", seen.ended_at)
        if unknown := parked - known - settled:
            yield Violation("2", f"{sorted(unknown)} are in usher.parked, and the journal has not heard", seen.ended_at)
    if "purge usher.parked" not in seen.operator and (missing := known - parked) and not seen.lost:
        yield Violation("2", f"{sorted(missing)} are parked, and not in usher.parked", seen.ended_at)


def stops(seen: Evidence) -> Iterator[Violation]:
    """7. After the signal nothing starts, and what runs does not outlive the process."""
    for entry in seen.history.of("told to stop"):
        who = str(entry["who"])
        frozen = any(e["who"] == who for e in seen.history.of("frozen"))
        for ran in seen.commands:
            if ran.by == who and ran.started_at > entry.at + AT_STOP and not frozen:
                yield Violation("7", f"{who} was told to stop, and started deploy {ran.deploy}", ran.started_at)
        for exited in (e for e in seen.history.of("exited") if e["who"] == who):
            for ran in seen.commands:
                if ran.by == who and (ran.ended_at is None or ran.ended_at > exited.at):
                    yield Violation("7", f"{who} has ended, and deploy {ran.deploy} still runs", exited.at)


def sameness(seen: Evidence) -> Iterator[Violation]:
    """6. The same move told again is the same message; without faults none is deployed twice."""
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
            yield Violation("6", f"{message} was deployed twice, and nothing had gone wrong", seen.ended_at)


def acks(seen: Evidence) -> Iterator[Violation]:
    """2. A server's queue forgets a message only when the journal has it settled, and a result is on the reply queue
    before the journal's copy: so that no death in between loses anything."""
    for ack in seen.unsettled_acks:
        yield Violation("2", f"{ack['by']} acked {ack['id']}, which the journal did not have settled", ack.at)
    for deploy, (replied_at, written_at) in seen.results.items():
        if replied_at > written_at:
            yield Violation("2", f"the journal had the result of {deploy} before the reply queue", written_at)


def truth(seen: Evidence) -> Iterator[Violation]:
    """7. What a deploy's result says is what its command did: what was cut has not failed."""
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
            why = f"deploy {ran.deploy} is {outcome}, and its command ended with {ran.code} after {lasted:.1f} s"
            yield Violation("7", why, ran.started_at)


def calm(seen: Evidence) -> Iterator[Violation]:
    """4 and 6. While nothing goes wrong, a window closes in time whatever other servers do, and each telling of a move
    is counted once."""
    if not seen.plan.calm:
        return
    for taking in seen.takings:
        if taking.at > taking.due_at + AT_CALM:
            late = taking.at - taking.due_at
            yield Violation("4", f"deploy {taking.deploy} was taken {late:.1f} s after its window closed", taking.at)
    tellings: dict[str, int] = {}
    for entry in seen.history.of("accepted"):
        tellings[str(entry["message"])] = tellings.get(str(entry["message"]), 0) + 1
    for message, times in tellings.items():
        if (told := seen.board.told.get(message, 1)) != times:
            yield Violation("6", f"{message} was told {times} times, and counts {told}", seen.ended_at)


def orders(seen: Evidence) -> Iterator[Violation]:
    """Every confirmed order is carried out, once, and touches nothing newer. Only a journal that loses that an order
    had been carried out may not know it."""
    for why in seen.orders.wrong:
        yield Violation("order", why, seen.ended_at)
    for order, at in seen.orders.early.items():
        if order not in seen.orders.lost:
            yield Violation("order", f"order {order} was acked, and had not been carried out", at)
    kinds = ("confirmed order.withdraw", "confirmed order.retry", "confirmed order.drop")
    taken = {str(entry["id"]): entry.at for entry in seen.history.of(*kinds)}
    taken |= {str(entry["id"]): entry.at for entry in seen.history.of("order answered")}
    for order, at in taken.items():
        entry = seen.board.orders.get(order)
        if entry is None and order not in seen.orders.lost:
            yield Violation("order", f"order {order} was confirmed, and nobody knows it", at)
        if entry is not None and entry.done_at is None:
            yield Violation("order", f"order {order} is not carried out", at)


RULES = (
    own_faults,
    overlaps,
    rights,
    understanding,
    acceptance,
    last_states,
    agreement,
    leftovers,
    stops,
    sameness,
    acks,
    truth,
    calm,
    orders,
)
