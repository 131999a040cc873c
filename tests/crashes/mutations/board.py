"""Bugs of the board: how it is read, how it grants takings, and how it is cleaned."""

from typing import Any

from crashes.mutations.planting import Method, instead, mutation, put
from deploys import service as deploys_service
from deploys import turn
from successes.results import cleaning
from usher.broker import expiry
from usher.broker.reading import Fold
from usher.core.board.board import Board
from usher.core.board.entries import Taking
from usher.core.board.holds import Holds
from usher.core.board.orders import Orders
from usher.core.board.server import ServerBoard
from usher.core.events import DeployTaken
from usher.core.orders import HoldExpired, ReleaseOrder
from usher.core.states import Change, State


@mutation("2: after a loss, the same offset has another entry, and the board no longer matches the journal")
def going_on_without_comparing() -> None:
    def make(real: Method) -> Method:
        def was_read(self: Fold, entry: Any) -> Any:
            self._expected = None
            return real(self, entry)

        return was_read

    instead(Fold, "_was_read", make)


@mutation("3: two holders may run a command at the same time")
def taking_granted_while_another_is_unfinished() -> None:
    def take(self: ServerBoard, taken: DeployTaken, read_at: float) -> list[Change]:
        entries = [entry for m in taken.messages if (entry := self.open.get(m))]
        for entry in entries:
            entry.deploying = True
        self.running = Taking(taken, tuple(entry.message for entry in entries), read_at)
        return [Change(entry.message.id, State.DEPLOYING, taken.deploy) for entry in entries]

    ServerBoard.take = take  # type: ignore[method-assign]
    put(turn, "takeover_wait", lambda settings: 0.0)


@mutation("10: a hold that is not seen")
def taking_granted_on_a_held_server() -> None:
    Holds.stop = lambda self, *places: False  # type: ignore[method-assign]


@mutation("10: the release of one hold releases all")
def releasing_every_hold() -> None:
    def make(real: Method) -> Method:
        def release(self: Orders, release: ReleaseOrder) -> None:
            real(self, release.model_copy(update={"holds": tuple(hold.id for hold in self.holds)}))

        return release

    instead(Orders, "_release", make)


@mutation("10: a hold expires early, by whoever looks first")
def expiring_without_looking_at_the_time() -> None:
    def expire(self: Orders, expired: HoldExpired) -> None:
        self._end(expired.hold, expired.at)

    def make(real: Any) -> Any:
        async def expire_holds(journal: Any, clock: Any) -> None:
            for hold in tuple(journal.board.orders.holds):
                await journal.append(HoldExpired(hold=hold.id, at=clock.now()))
            await real(journal, clock)

        return expire_holds

    put(Orders, "expire", expire)
    put(deploys_service, "expire_holds", make(expiry.expire_holds))


@mutation("2: parked messages are lost")
def cleaning_what_is_not_settled() -> None:
    cleaning._is_settled = lambda message, board: True


@mutation("2: a pass settles a newer move that failed, so nobody deploys it")
def cleaning_something_newer() -> None:
    def clean(self: ServerBoard, passed: Any, deploy: str) -> list[Change]:
        issues = {message.issue for message in passed}
        meant = [*(failed.message for failed in self.failed.values()), *self.retrying.values()]
        meant += [e.message for e in self.open.values() if not e.deploying]
        changes = [Change(m.id, State.SUPERSEDED, deploy) for m in meant if m.issue in issues]
        self._close(changes)
        return changes

    ServerBoard._clean = clean  # type: ignore[method-assign]


@mutation("2: a failed message whose next attempt arrived before the result stays undecided")
def decision_that_is_never_made_again() -> None:
    ServerBoard.retried = lambda self, retry, deploy: []  # type: ignore[method-assign]


@mutation("2: withdrawn messages come back")
def board_that_forgets_withdrawals() -> None:
    def make(real: Method) -> Method:
        def noted(self: Board, changes: list[Change]) -> list[Change]:
            kept: list[Change] = real(self, [change for change in changes if change.state is not State.WITHDRAWN])
            return kept

        return noted

    instead(Board, "_noted", make)
