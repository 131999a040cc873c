"""The reply queue: passed messages are settled, failed ones are retried or parked, and the result is acked last.

A crash between any two steps is harmless: the result is delivered again, and each step recognizes what it has already
done. Only a message that was parked just before a crash may be in `usher.parked` twice, with the same id.
"""

import logging
from collections.abc import Sequence

from successes.ledger.follower import Follower
from successes.ledger.ledger import Ledger
from successes.ledger.writes import News
from successes.results.decisions import Decided, Decisions
from usher.broker.consumer import Consumer, Delivery
from usher.broker.journal import Journal
from usher.broker.publisher import Publisher
from usher.core.errors import Unreadable
from usher.core.events import DeployEnded, Outcome, decode
from usher.core.issues import Issue
from usher.core.retries import Again
from usher.core.versions import check

log = logging.getLogger(__name__)

PREFETCH = 50
NAMED = 20
"""The maximum number of issues that a log line names."""


class Results:
    """Handles the results that arrive on one connection."""

    def __init__(
        self, ledger: Ledger, follower: Follower, journal: Journal, publisher: Publisher, decisions: Decisions
    ) -> None:
        self._ledger = ledger
        self._follower = follower
        self._journal = journal
        self._publisher = publisher
        self._decisions = decisions

    async def run(self, consumer: Consumer) -> None:
        """Handle results until cancelled. Raises BrokerError or LedgerFault; unacked results are delivered again."""
        while True:
            await self._take(await consumer.drain())

    async def _take(self, deliveries: Sequence[Delivery]) -> None:
        # a deploy's messages were in the journal before its result, so the ledger must have them first
        await self._journal.barrier()
        await self._follower.flush()
        read = [(delivery, _result(delivery)) for delivery in deliveries]
        await self._ledger.write(News(ended=[result for _, result in read if isinstance(result, DeployEnded)]))
        for delivery, result in read:
            if isinstance(result, Unreadable):
                await self._give_up(delivery, str(result))
            elif result.outcome is Outcome.PASSED:
                await delivery.ack()
                log.info("deploy %s: %s", _line(result), _named([message.issue for message in result.standing]))
            else:
                decided = await self._decisions.about(result, again=delivery.redelivered)
                await delivery.ack()
                log.warning("deploy %s: %s; %s", _line(result), result.reason, _describe(decided))

    async def _give_up(self, delivery: Delivery, reason: str) -> None:
        """Park a result that cannot be read, for a person to look at."""
        await self._publisher.park(delivery.body, delivery.message_id, reason)
        await delivery.ack()
        log.warning("parked a result that cannot be read (%s): %s", delivery.message_id or "no message id", reason)


def _line(result: DeployEnded) -> str:
    """`1a2b3c4d5e6f of beta.abc.wwts.com passed in 12.3 s`."""
    seconds = (result.ended_at - result.started_at) / 1000
    how = "passed" if result.outcome is Outcome.PASSED else result.outcome.replace("_", " ")
    return f"{result.deploy} of {result.server} {how} in {seconds:.1f} s"


def _result(delivery: Delivery) -> DeployEnded | Unreadable:
    """Decode a result. Raises NotUnderstood, before anything of its group of deliveries is handled."""
    check(delivery.headers, f"result {delivery.message_id}")
    try:
        event = decode(delivery.body)
    except Unreadable as fault:
        return fault
    return event if isinstance(event, DeployEnded) else Unreadable(why=f"{event.kind} is not a result")


def _describe(decided: Decided) -> str:
    """`retry in 60 s: ABC-111; parked: ABC-113`."""
    by_delay: dict[int, list[Again]] = {}
    for again in decided.again:
        by_delay.setdefault(again.delay, []).append(again)
    parts = [
        f"retry in {delay / 1000:g} s: {_named([again.message.issue for again in same])}"
        for delay, same in by_delay.items()
    ]
    if decided.parked:
        parts.append(f"parked: {_named([message.issue for message in decided.parked])}")
    return "; ".join(parts) or "nothing to retry"


def _named(issues: Sequence[Issue]) -> str:
    more = len(issues) - NAMED
    return " ".join(map(str, issues[:NAMED])) + (f" and {more} more" if more > 0 else "") or "nothing"
