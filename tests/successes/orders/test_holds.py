"""Holds over HTTP: who holds what, why, and until when."""

from datetime import UTC, datetime, timedelta

import pytest

from ordering import BETA, asking, facts, new_id, until
from usher.core.orders import MAX_HOLDS, HoldExpired


def state(answer, *names):
    return {name: answer[name] for name in names}


async def server(ask):
    """The state of a server, once its reader of the journal knows the same holds as the one of orders."""
    boards = (lambda: ask.world.service.board, lambda: ask.world.orders.desk.board)
    await until(lambda: len({tuple(hold.id for hold in board().orders.holds) for board in boards}) == 1)
    return await ask.get(f"servers/{BETA}")


async def test_a_hold_stands_until_it_is_released_and_both_are_orders(world, ask):
    held = await ask.order("hold", scope="beta of ABC", by="ann", reason="demo")
    assert state(held, "order", "state", "scope", "servers") == {
        "order": "hold",
        "state": "standing",
        "scope": "beta.abc",
        "servers": [BETA],
    }
    shown = await server(ask)
    assert state(shown, "state", "by", "next_change") == {"state": "held", "by": "ann", "next_change": None}
    assert shown["reason"] == "ann holds beta of ABC: demo (no end is known)"
    (listed,) = await ask.get("holds")
    assert state(listed, "id", "held", "by", "reason") == {
        "id": held["id"],
        "held": "beta of ABC",
        "by": "ann",
        "reason": "demo",
    }
    released = await ask.order("release", hold=held["id"][:8], by="bob")
    assert released["released"] == [held["id"]]
    assert (await server(ask))["state"] == "idle"
    assert await ask.get("holds") == []
    past = await ask.get(f"orders/{held['id']}")
    assert state(past, "state", "released_by") == {"state": "done", "released_by": "bob"}


async def test_the_release_of_one_hold_leaves_the_others(world, ask):
    first = await ask.order("hold", scope="ABC", reason="one")
    ends = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    await ask.order("hold", scope=BETA, reason="two", until=ends)
    await ask.order("hold", scope=BETA, reason="three", until=ends)
    assert (await server(ask))["next_change"] is None, "one of them has no end"
    await ask.order("release", hold=first["id"])
    shown = await server(ask)
    assert (shown["state"], shown["next_reason"]) == ("held", "the last hold ends")
    assert datetime.fromisoformat(shown["next_change"]) == datetime.fromisoformat(ends).replace(
        microsecond=datetime.fromisoformat(shown["next_change"]).microsecond
    )
    released = await ask.order("release", scope="beta of ABC")
    assert len(released["released"]) == 2
    assert (await server(ask))["state"] == "idle"


async def test_a_hold_ends_by_itself_and_its_order_says_so(world, ask):
    ends = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
    held = await ask.order("hold", scope=BETA, reason="demo", until=ends)
    await until(lambda: not len(world.orders.desk.board.orders.holds))
    past = await ask.get(f"orders/{held['id']}")
    assert (past["state"], past["released_by"]) == ("done", None)
    (expired,) = await facts(world, HoldExpired)
    assert expired.hold == held["id"]


async def test_a_warning_is_shown_and_changes_no_state(world, ask):
    await ask.order("hold", scope="*.*", reason="old data", warning=True)
    shown = await server(ask)
    assert (shown["state"], shown["holds"][0]["warning"], shown["holds"][0]["reason"]) == ("idle", True, "old data")


async def test_a_repeated_hold_or_release_changes_nothing(world, ask):
    held, released = new_id(), new_id()
    first = await ask.order("hold", id=held, scope=BETA, reason="demo")
    assert await ask.order("hold", id=held, scope=BETA, reason="demo") == first
    ended = await ask.order("release", id=released, hold=held)
    assert await ask.order("release", id=released, hold=held) == ended
    assert (await ask.order("hold", id=held, scope=BETA, reason="demo"))["state"] == "done"
    assert await ask.get("holds") == []


@pytest.mark.parametrize(
    ("what", "order", "code", "says"),
    [
        ("hold", {"scope": "nowhere", "reason": "demo"}, 422, "neither a server, a status nor a project"),
        ("hold", {"scope": BETA}, 422, "reason"),
        ("hold", {"scope": BETA, "reason": "demo", "until": "2020-01-01T00:00:00Z"}, 422, "would have ended already"),
        ("hold", {"scope": BETA, "reason": "demo", "until": "17:00"}, 422, "until"),
        ("release", {"scope": BETA}, 404, "nothing is held"),
        ("release", {"hold": "0" * 32}, 404, "nothing is held"),
        ("release", {}, 422, "name either a hold or a scope"),
    ],
)
async def test_what_makes_no_sense_is_refused_with_the_reason(ask, what, order, code, says):
    answer = await ask.answer(what, **order)
    assert (answer.status_code, says in answer.text) == (code, True), answer.text


async def test_there_is_a_limit_to_the_number_of_holds(world, ask, monkeypatch):
    monkeypatch.setattr("successes.orders.holding.MAX_HOLDS", 1)
    await ask.order("hold", scope=BETA, reason="demo")
    answer = await ask.answer("hold", scope=BETA, reason="demo")
    assert answer.status_code == 409
    assert MAX_HOLDS > 1


async def test_the_queue_keeps_a_hold_for_as_long_as_it_stands_also_across_restarts(world):
    async with asking(world) as ask:
        held = await ask.order("hold", scope=BETA, reason="demo")
    async with asking(world) as ask:
        await until(lambda: len(world.orders.desk.board.orders.holds) == 1)
        await ask.order("release", hold=held["id"])
    async with asking(world):
        assert not len(world.orders.desk.board.orders.holds)
