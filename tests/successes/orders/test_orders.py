"""Orders over HTTP: what they change, and why they leave other issues unchanged."""

from dataclasses import replace

import pytest

from ordering import BETA, asking, facts, new_id, parked, until
from usher.broker import topology
from usher.core.events import DeployInterrupted, DeployStuck, MessagesRetried, MessagesWithdrawn, Outcome


def changed(*messages):
    return [{"id": m.id, "issue": str(m.issue), "server": m.server, "attempt": m.attempt} for m in messages]


def state(world, message):
    return world.orders.desk.board.state(message.id)


async def test_parked_messages_are_listed_newest_first_with_how_they_failed(world, ask):
    [one, other], ended = await parked(world, "ABC-111", "ABC-112")
    await parked(world, "DEF-5")
    first = await ask.get("parked?per_page=1")
    assert (first["total"], first["pages"], first["items"][0]["issue"]) == (3, 3, "DEF-5")
    items = (await ask.get(f"parked?server={BETA}"))["items"]
    assert [item["id"] for item in items] == [other.id, one.id]
    shown = {key: items[0][key] for key in ("state", "deploy", "outcome", "exit_code", "reason", "attempt", "received")}
    assert shown == {
        "state": "parked",
        "deploy": ended.deploy,
        "outcome": "failed",
        "exit_code": 2,
        "reason": "exit code 2",
        "attempt": 1,
        "received": 1,
    }
    assert items[0]["changed_at"] > items[0]["queued_at"]
    assert (await ask.get("parked?issue=abc-111"))["total"] == 1
    assert (await ask.get("parked?server=nowhere"))["items"] == []


async def test_a_retry_is_published_immediately_as_the_next_attempt_and_the_journal_says_who_ordered_it(world, ask):
    [one, other], _ = await parked(world, "ABC-111", "ABC-112")
    again, order = one.again(0), new_id()
    answer = await ask.order("retry", id=order, issues=["ABC-111"], by="ann", reason="the disk is empty again")
    assert answer.pop("at") <= answer.pop("done_at")
    assert answer == {
        "id": order,
        "order": "retry",
        "by": "ann",
        "reason": "the disk is empty again",
        "servers": [s.name for s in world.settings.catalogue if s.project == "abc"],
        "issues": ["ABC-111"],
        "deploy": None,
        "state": "done",
        "abridged": False,
        "messages": changed(again),
        "running": [],
        "left": [],
        "scope": None,
        "until": None,
        "warning": False,
        "released_by": None,
        "released": [],
    }
    assert (state(world, again), state(world, other)) == ("waiting", "parked")
    [event] = await facts(world, MessagesRetried)
    assert (event.by, event.order, event.deploy, event.reason) == ("ann", order, None, "the disk is empty again")
    assert again.id in await world.waits_in(topology.server_queue(BETA))


async def test_a_dropped_message_is_removed_from_the_parked_queue(make_world):
    world = await make_world(watching=True, RETRIES__DELAYS="[]")
    async with asking(world) as ask:
        [one], _ = await parked(world, "ABC-111")
        assert (await ask.order("drop", server=BETA))["messages"] == changed(one)
        assert state(world, one) == "withdrawn"


async def test_issues_are_withdrawn_from_all_servers_and_other_issues_keep_waiting(world, ask):
    first, other, second = await world.published("ABC-111", "ABC-112", "ABC-111")
    elsewhere = world.make.message("ABC-111", "test")
    await world.publisher.message(elsewhere)
    answer = await ask.order("withdraw", issues=["ABC-111"], by="ann")
    assert answer["messages"] == changed(first, second, elsewhere)
    assert [state(world, m) for m in (first, second, elsewhere, other)] == [*["withdrawn"] * 3, "waiting"]
    assert {(e.server, e.by, e.order) for e in await facts(world, MessagesWithdrawn)} == {
        (BETA, "ann", answer["id"]),
        (elsewhere.server, "ann", answer["id"]),
    }


@pytest.mark.parametrize("named", [{}, {"server": "old-beta-abc"}])
async def test_issues_are_withdrawn_from_a_server_that_is_no_longer_in_the_settings(world, ask, named):
    message = replace(world.make.message("ABC-111"), server="old-beta-abc")
    await world.publisher.message(message)
    await until(lambda: state(world, message) == "waiting")
    answer = await ask.order("withdraw", issues=["ABC-111"], by="ann", **named)
    assert answer["messages"] == changed(message)
    assert state(world, message) == "withdrawn"


@pytest.mark.parametrize(("outcome", "ends"), [(Outcome.FAILED, "withdrawn"), (Outcome.PASSED, "deployed")])
async def test_a_running_deploy_goes_on_and_its_message_is_withdrawn_only_if_it_does_not_pass(
    world, ask, outcome, ends
):
    [running] = await world.published("ABC-111")
    taken = await world.taken(running)
    [waiting] = await world.published("ABC-111")
    answer = await ask.order("withdraw", server=BETA, issues=["ABC-111"])
    assert answer["messages"] == changed(waiting)
    assert answer["running"] == [{"issue": "ABC-111", "server": BETA, "deploy": taken.deploy}]
    assert state(world, running) == "deploying"
    await world.result(world.make.ended(running, taken=taken, outcome=outcome))
    await world.handled()
    await until(lambda: state(world, running) == ends)


async def test_a_message_that_arrives_after_the_order_is_not_changed(world, ask):
    await world.published("ABC-111")
    await ask.order("withdraw", issues=["ABC-111"])
    [later] = await world.published("ABC-111")
    await world.journal.barrier()
    await until(lambda: state(world, later) == "waiting")


async def test_a_second_order_changes_nothing_and_says_why(world, ask):
    await parked(world, "ABC-111", "ABC-112")
    for what, issue, why in (
        ("retry", "ABC-111", "it is already waiting"),
        ("drop", "ABC-112", "it was withdrawn by 10.1.2.3"),
    ):
        assert len((await ask.order(what, server=BETA, issues=[issue]))["messages"]) == 1
        await world.handled()
        again = await ask.order(what, server=BETA, issues=[issue])
        assert (again["messages"], again["left"]) == ([], [{"issue": issue, "server": BETA, "why": why}])
    assert [event.by for event in await facts(world, MessagesWithdrawn)] == ["10.1.2.3"]
    assert (await ask.order("retry", all=True))["messages"] == []


async def test_all_parked_issues_are_queued_again_on_every_server(world, ask):
    await parked(world, "ABC-111", "ABC-112")
    await parked(world, "DEF-5")
    answer = await ask.order("retry", all=True)
    assert sorted(item["issue"] for item in answer["messages"]) == ["ABC-111", "ABC-112", "DEF-5"]
    assert (await ask.get("parked"))["total"] == 0


async def test_unchanged_issues_are_named_with_the_reason(world, ask):
    await parked(world, "ABC-111")
    passed = await world.ended(*await world.published("ABC-111"))
    runs = await world.taken(*await world.published("ABC-112"))
    await world.published("ABC-113")
    await world.handled()
    answer = await ask.order("retry", server=BETA, issues=["ABC-111", "ABC-112", "ABC-113", "ABC-114"])
    assert {left["issue"]: left["why"] for left in answer["left"]} == {
        "ABC-111": f"it was deployed by deploy {passed.deploy}",
        "ABC-112": f"it is being deployed by deploy {runs.deploy}",
        "ABC-113": "it is already waiting",
        "ABC-114": "it is not parked",
    }
    assert answer["messages"] == []


async def test_an_unknown_issue_is_listed_as_unchanged_on_each_server_of_its_project(world, ask):
    left = (await ask.order("withdraw", issues=["ABC-7"]))["left"]
    assert [one["server"] for one in left] == [s.name for s in world.settings.catalogue if s.project == "abc"]
    assert {one["why"] for one in left} == {"it is not pending"}


async def test_all_messages_of_a_failed_deploy_are_retried_once(world, ask):
    failed, ended = await parked(world, "ABC-111", "ABC-112")
    answer = await ask.order("retry", deploy=ended.deploy, by="ann")
    assert answer["messages"] == changed(*(message.again(0) for message in failed))
    assert (answer["deploy"], answer["servers"], answer["issues"]) == (ended.deploy, [BETA], ["ABC-111", "ABC-112"])
    assert (await facts(world, MessagesRetried))[0].deploy == ended.deploy
    again = await ask.order("retry", deploy=ended.deploy, by="ann")
    assert (again["messages"], [left["why"] for left in again["left"]]) == ([], ["it is already waiting"] * 2)


async def test_a_passed_a_running_and_an_unknown_deploy_cannot_be_retried(world, ask):
    passed = await world.ended(*await world.published("ABC-111"))
    runs = await world.taken(*await world.published("ABC-112"))
    await world.handled()
    for deploy, code, why in (
        (passed.deploy, 409, "has nothing to retry: it passed"),
        (runs.deploy, 409, "has nothing to retry: it is still running"),
        ("123456789abc", 404, "no deploy '123456789abc' is known; /api/deploys lists them"),
    ):
        answer = await ask.answer("retry", deploy=deploy, by="ann")
        assert (answer.status_code, why in answer.json()["detail"]) == (code, True)
    assert (await ask.get("orders"))["total"] == 0


async def test_a_message_that_waits_for_its_next_attempt_is_queued_immediately_and_loses_no_attempt(make_world):
    world = await make_world(RETRIES__DELAYS='["1h"]')
    async with asking(world) as ask:
        [message] = await world.published("ABC-111")
        ended = await world.ended(message, outcome=Outcome.FAILED)
        await world.handled()
        [later] = world.orders.desk.board.server(message.server).retrying.values()
        [left] = (await ask.order("drop", server=BETA, issues=["ABC-111"]))["left"]
        assert left["why"].startswith("it will be retried at ")
        [item] = (await ask.order("retry", deploy=ended.deploy))["messages"]
        assert item["attempt"] == 2
        assert world.orders.desk.board.state(item["id"]) == "waiting"
        assert state(world, later) == "retried"


async def test_the_list_of_orders_shows_who_gave_which_order_newest_first(world, ask):
    await parked(world, "ABC-111")
    first = await ask.order("withdraw", issues=["DEF-5"], by="bob", reason="wrong release")
    second = await ask.order("retry", server=BETA, by="ann")
    listed = (await ask.get("orders"))["items"]
    assert [(item["id"], item["by"], item["order"]) for item in listed] == [
        (second["id"], "ann", "retry"),
        (first["id"], "bob", "withdraw"),
    ]
    for query, found in (
        ("by=bob", first),
        (f"server={BETA}", second),
        ("issue=abc-111", second),
        ("issue=DEF-5", first),
    ):
        assert (await ask.get(f"orders?{query}"))["items"] == [found]
    assert await ask.get(f"orders/{first['id']}") == first
    page = await ask.get("orders?per_page=1&page=2")
    assert (page["total"], page["pages"], page["items"]) == (2, 2, [first])
    assert await ask.code("orders/nothing") == (404, "no order 'nothing' is known; /api/orders lists them")


async def test_a_person_can_say_that_the_command_of_a_stuck_deploy_has_ended(world, ask):
    [message] = await world.published("ABC-111")
    taken = await world.taken(message)
    unknown = await ask.answer("abort", deploy=taken.deploy, gone=True)
    assert (unknown.status_code, "is stuck; `usher servers`" in unknown.json()["detail"]) == (404, True)
    await world.journal.append(
        DeployStuck(deploy=taken.deploy, server=BETA, by=taken.holder, reason="process 7", pids=(7,), user="root", at=1)
    )
    await until(lambda: world.service.board.server(BETA).stuck)
    assert (await ask.answer("abort", deploy=taken.deploy)).status_code == 422
    answer = await ask.order("abort", deploy=taken.deploy, gone=True, by="ann", reason="the machine burnt down")
    assert (answer["order"], answer["deploy"], answer["servers"]) == ("abort", taken.deploy, [BETA])
    assert await ask.order("abort", id=answer["id"], deploy=taken.deploy, gone=True) == answer
    [gone] = await facts(world, DeployInterrupted)
    reason = "ann says that its command has ended: the machine burnt down"
    assert (gone.deploy, gone.gone, gone.reason) == (taken.deploy, True, reason)
    await until(lambda: world.service.board.state(message.id) == "waiting")
    await world.handled()
    assert (await ask.get(f"deploys/{taken.deploy}"))["outcome"] == "interrupted"


async def test_an_interruption_of_a_stuck_deploy_changes_nothing_in_the_ledger(world, ask):
    [message] = await world.published("ABC-111")
    taken = await world.taken(message)
    named = {"deploy": taken.deploy, "server": BETA, "by": "another"}
    await world.journal.append(DeployStuck(**named, reason="process 7", pids=(7,), at=1))
    await world.journal.append(DeployInterrupted(**named, reason="it was lost", at=2))
    await world.handled()
    assert (await ask.get(f"deploys/{taken.deploy}"))["outcome"] is None
    assert (await ask.get(f"servers/{BETA}"))["state"] == "stuck"
