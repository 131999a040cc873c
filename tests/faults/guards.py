"""What each test of a fault stands for: the guard in the source without which it must fail."""

from dataclasses import dataclass

from faults.storms import SERVICES

DEPLOYS, SUCCESSES, BROKER = "services/deploys", "services/successes", "shared/usher/broker"


@dataclass(frozen=True)
class Edit:
    """In that file, `old` stands once, and `new` is the same without the guard."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Guard:
    """What keeps the promise, the edits that take it away, the tests of this folder that must see it, and as what: an
    expression that is found in what each of them says when it fails."""

    says: str
    edits: tuple[Edit, ...]
    seen_as: str
    tests: tuple[str, ...]


def guard(says: str, file: str, old: str, new: str, seen_as: str, *tests: str) -> Guard:
    """A guard that stands in one place."""
    return Guard(says, (Edit(file, old, new),), seen_as, tests)


TAKEOVER = "return 3 * (beat + 1) + beat / 2 + guard.total_seconds() + 5"
LINE = "test_lines.py::test_a_line_to_the_broker_that_breaks_in_mid_deploy_loses_and_doubles_nothing"
POWER = (
    "test_power_cut.py::"
    "test_what_waited_was_in_a_window_ran_was_in_retry_or_parked_is_all_there_and_gets_its_last_state"
)

GUARDS = (
    guard(
        "an accepted message is one that the broker has confirmed",
        "services/trackers/door.py",
        "await self.publisher.message(message)",
        '__import__("asyncio").get_running_loop().create_task(_later(self.publisher, message))',
        "does not have",
        "test_services.py::test_a_service_that_is_killed_in_mid_storm_loses_nothing[trackers]",
        "test_storm.py::test_in_a_storm_in_which_all_parts_are_killed_again_and_again_nothing_is_lost_or_doubled",
    ),
    guard(
        "a taking whose holder is gone is ended by the next one",
        f"{DEPLOYS}/context.py",
        TAKEOVER,
        "return 1e6",
        "is (waiting|deploying)",
        "test_services.py::test_a_service_that_is_killed_in_mid_storm_loses_nothing[deploys]",
        "test_services.py::test_a_second_deploys_takes_over_from_one_that_is_killed",
        f"{POWER}[1]",
    ),
    guard(
        "the take-over wait",
        f"{DEPLOYS}/context.py",
        TAKEOVER,
        "return 0.0",
        r"began while|assert \[\(Run",
        "test_services.py::test_a_second_deploys_waits_until_a_long_command_of_one_that_is_killed_must_be_dead",
        "test_lines.py::test_a_turn_that_is_handed_on_while_its_holder_has_not_noticed_is_not_deployed_twice_at_once",
        "test_cluster.py::test_nodes_replicas_and_their_networks_are_lost_in_mid_deploy_and_nothing_is_lost_or_doubled",
    ),
    guard(
        "the take-over wait counts from the turn, not from the taking",
        f"{DEPLOYS}/turn.py",
        "max(taking.read_at, self._since) + takeover_wait",
        "taking.read_at + takeover_wait",
        "has no end yet",
        "test_services.py::test_a_second_deploys_waits_until_a_long_command_of_one_that_is_killed_must_be_dead",
    ),
    Guard(
        "the ledger hears of what happened while nobody kept it, from the journal and from the results",
        (
            Edit(
                f"{BROKER}/reading.py",
                "self._fold(entry, board, self._observe if entry.position.offset > seen else None)",
                "self._fold(entry, board, None)",
            ),
            Edit(
                f"{SUCCESSES}/results/results.py",
                "News(ended=[result for _, result in read if isinstance(result, DeployEnded)])",
                "News()",
            ),
        ),
        "does not have|is (waiting|deploying)",
        ("test_services.py::test_a_service_that_is_killed_in_mid_storm_loses_nothing[successes]",),
    ),
    guard(
        "the guard stops the command of a `deploys` that is silent",
        f"{DEPLOYS}/guard.py",
        "if listening and self.stopped is None and self.missed():",
        "if False:",
        "its command has been stopped|began while",
        "test_services.py::test_a_deploys_that_is_frozen_has_its_command_stopped_and_goes_on_when_it_wakes",
        "test_services.py::test_a_deploys_that_is_frozen_is_taken_over_from_and_does_no_harm_when_it_wakes",
    ),
    Guard(
        "a command does not outlive its guard",
        (
            Edit(
                f"{DEPLOYS}/guard.py",
                "preexec_fn=lambda: prctl(PR_SET_PDEATHSIG, signal.SIGKILL),",
                "preexec_fn=None,",
            ),
            Edit(f"{DEPLOYS}/runner.py", "os.killpg(self._pid, signal.SIGKILL)", "pass"),
        ),
        "began while",
        ("test_services.py::test_a_guard_that_is_killed_takes_its_command_with_it_and_the_batch_is_deployed_again",),
    ),
    guard(
        "what the journal does not know is told again",
        f"{DEPLOYS}/turn.py",
        "await self._context.publisher.message(held)",
        "return",
        "everything told is deployed",
        "test_services.py::test_a_journal_deleted_while_everything_is_down_loses_no_message",
    ),
    guard(
        "who cuts a deploy writes that it was interrupted",
        f"{DEPLOYS}/deploy.py",
        """            await self._context.unwritten.write(self._server.name, self._journal, self._context.publisher)
""",
        "",
        "has no end yet|may still run",
        "test_services.py::test_orderly_stopping_leaves_no_process_and_what_was_cut_comes_back",
    ),
    guard(
        "a lost connection is opened again",
        f"{BROKER}/link.py",
        "        worked = True\n",
        "        return\n",
        "has ended|Connection refused",
        "test_services.py::test_a_service_that_is_frozen_in_mid_storm_goes_on_when_it_wakes_and_loses_nothing",
        LINE,
        "test_outages.py::test_a_broker_that_is_killed_and_started_again_on_its_disk_has_lost_nothing",
    ),
    Guard(
        "a ledger that cannot be written is tried again",
        (
            Edit(f"{SUCCESSES}/ledger/ledger.py", "if attempt == TRIES or not is_transient(error):", "if True:"),
            Edit(f"{SUCCESSES}/service.py", "except LedgerFault as fault:", "except ZeroDivisionError as fault:"),
        ),
        "has ended|Connection refused",
        (
            "test_lines.py::"
            "test_a_line_to_postgresql_that_breaks_costs_no_deploy_and_the_ledger_has_everything_afterwards",
        ),
    ),
    guard(
        "heartbeats",
        f"{BROKER}/connecting.py",
        "update_query(heartbeat=str(heartbeat))",
        'update_query(heartbeat="0")',
        "it is noticed|the command is stopped",
        *(f"{LINE}[{service}-goes silent]" for service in SERVICES),
        "test_outages.py::test_a_broker_that_freezes_is_given_up_and_its_turns_are_deployed_again",
    ),
    guard(
        "a late confirmation is waited for",
        f"{BROKER}/publisher.py",
        "CONFIRM_SECONDS = 5.0",
        "CONFIRM_SECONDS = 0.2",
        "did not confirm",
        "test_lines.py::test_a_line_on_which_everything_comes_late_costs_time_and_nothing_else",
    ),
    guard(
        "the same move is the same message",
        "shared/usher/core/messages.py",
        "id=message_id(identity, server) if identity else secrets.token_hex(16),",
        "id=secrets.token_hex(16),",
        "'deployed', 1",
        "test_lines.py::test_an_answer_that_is_lost_on_its_way_to_jira_makes_no_second_message",
    ),
    guard(
        "who is blocked is told so at once",
        f"{BROKER}/link.py",
        "return await self.hold(first(publishing, self.blocked, Blocked))",
        "return await self.hold(publishing)",
        "503, False",
        "test_outages.py::test_under_an_alarm_nothing_is_accepted_and_a_running_deploy_keeps_its_turn",
    ),
    guard(
        "the same fault is logged once",
        f"{BROKER}/link.py",
        'if (kind := str(fault).partition(" (")[0]) != said:',
        'if kind := str(fault).partition(" (")[0]:',
        r"says \d\d changes",
        "test_outages.py::test_whatever_befalls_the_broker_readiness_and_log_tell_and_everything_goes_on",
    ),
    guard(
        "a result that cannot be read is parked",
        f"{SUCCESSES}/results/results.py",
        "await self._publisher.park(delivery.body, delivery.message_id, reason)",
        "pass",
        "a person can see each of them",
        "test_by_hand.py::test_a_malformed_message_from_the_console_is_parked_and_costs_no_turn_and_no_result",
    ),
    guard(
        "what no queue brings is told again from the journal",
        f"{SUCCESSES}/results/sweep.py",
        "for message in (*found.waiting, *returning):",
        "for message in returning:",
        "told again from the journal|the broker has dropped|all is deployed",
        "test_by_hand.py::test_a_queue_deleted_under_a_command_stops_it_and_what_it_held_is_told_again",
        "test_by_hand.py::test_policies_that_lose_messages_are_named_by_the_doctor_and_what_they_drop_is_told_again",
    ),
    guard(
        "a command ends with the channel that has its turn",
        f"{BROKER}/consumer.py",
        "    channel.closed.also(consumer.lost)\n",
        "",
        "the broker takes the turn away",
        "test_by_hand.py::test_a_policy_that_takes_consumers_away_is_named_by_the_doctor_and_doubles_nothing",
    ),
    guard(
        "a retry waits on the broker's disk",
        f"{SUCCESSES}/results/decisions.py",
        "await self._publisher.retry(again.message, again.delay, round(again.delay * (1 - shortened)))",
        "pass",
        "is retrying",
        POWER,
    ),
    guard(
        "who stops gives its turns back",
        f"{DEPLOYS}/worker.py",
        "                await turn.give_back()\n",
        "                pass\n",
        "has no end yet|may still run",
        "test_rolling.py::test_a_rolling_restart_of_everything_loses_doubles_and_delays_nothing",
    ),
    guard(
        "every queue has a member on every node",
        f"{BROKER}/topology.py",
        '"x-queue-type": "quorum",',
        '"x-queue-type": "quorum", "x-quorum-initial-group-size": 1,',
        "three members of each are online",
        "test_cluster.py::test_every_queue_and_the_journal_are_on_all_three_nodes",
    ),
)

LATER = """

async def _later(publisher: Publisher, message: BackMessage) -> None:
    await __import__("asyncio").sleep(1)
    await publisher.message(message)
"""
"""What the first of these calls, at the end of the door's module."""
