"""For each fault test, the safeguard in the source without which it must fail."""

from dataclasses import dataclass

from faults.storms import SERVICES

DEPLOYS, SUCCESSES, BROKER = "services/deploys", "services/successes", "shared/usher/broker"


@dataclass(frozen=True)
class Edit:
    """In `file`, `old` occurs once. `new` is the same code without the safeguard."""

    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Guard:
    """A safeguard: its name, the edits that remove it, and the tests of this folder that must fail without it.

    `failure` is a regular expression that must match the failure message of each test.
    """

    name: str
    edits: tuple[Edit, ...]
    failure: str
    tests: tuple[str, ...]


def guard(name: str, file: str, old: str, new: str, failure: str, *tests: str) -> Guard:
    """A safeguard that is removed by one edit."""
    return Guard(name, (Edit(file, old, new),), failure, tests)


TAKEOVER = "return 3 * (beat + 1) + beat / 2 + guard.total_seconds() + 5"
LINE = "test_lines.py::test_a_broken_broker_connection_during_a_deploy_loses_and_duplicates_nothing"
POWER = "test_power_cut.py::test_after_a_power_cut_every_message_is_still_there_and_reaches_its_final_state"

GUARDS = (
    guard(
        "an accepted message is one that the broker has confirmed",
        "services/trackers/door.py",
        "await self._connected().message(message)",
        '__import__("asyncio").get_running_loop().create_task(_later(self._connected(), message))',
        "does not have",
        "test_services.py::test_a_service_killed_during_a_storm_loses_nothing[trackers]",
        "test_storm.py::test_killing_all_parts_again_and_again_during_a_storm_loses_and_duplicates_nothing",
    ),
    guard(
        "the next holder ends the taking of a lost holder",
        f"{DEPLOYS}/context.py",
        TAKEOVER,
        "return 1e6",
        "is (waiting|deploying)",
        "test_services.py::test_a_service_killed_during_a_storm_loses_nothing[deploys]",
        "test_services.py::test_a_second_deploys_takes_over_from_a_killed_one",
        f"{POWER}[1]",
    ),
    guard(
        "the take-over wait",
        f"{DEPLOYS}/context.py",
        TAKEOVER,
        "return 0.0",
        r"began while|assert \[\(Run",
        "test_services.py::test_a_second_deploys_waits_until_the_command_of_a_killed_one_must_be_dead",
        "test_lines.py::test_a_server_is_not_deployed_twice_at_once_while_the_old_holder_has_not_noticed_its_loss",
        "test_cluster.py::test_losing_nodes_replicas_and_networks_during_deploys_loses_and_duplicates_nothing",
    ),
    guard(
        "the take-over wait counts from the turn, not from the taking",
        f"{DEPLOYS}/turn.py",
        "max(taking.read_at, self._received_at) + takeover_wait",
        "taking.read_at + takeover_wait",
        "has not reported its end",
        "test_services.py::test_a_second_deploys_waits_until_the_command_of_a_killed_one_must_be_dead",
    ),
    Guard(
        "after a stop the ledger is completed from the journal and from the results",
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
        ("test_services.py::test_a_service_killed_during_a_storm_loses_nothing[successes]",),
    ),
    guard(
        "the guard stops the command of a silent `deploys`",
        f"{DEPLOYS}/guard.py",
        "if listening and self.stopped is None and self.missed():",
        "if False:",
        "its command has been stopped|began while",
        "test_services.py::test_the_command_of_a_frozen_deploys_is_stopped_and_its_batch_is_deployed_again",
        "test_services.py::test_another_deploys_takes_over_from_a_frozen_one_which_does_no_harm_when_it_wakes",
    ),
    Guard(
        "a command does not outlive its guard",
        (
            Edit(f"{DEPLOYS}/processes.py", "prctl(PR_SET_PDEATHSIG, signal.SIGKILL)", "pass"),
            Edit(f"{DEPLOYS}/guarded.py", "os.killpg(self._pid, signal.SIGKILL)", "pass"),
        ),
        "began while",
        ("test_services.py::test_killing_a_guard_kills_its_command_and_the_batch_is_deployed_again",),
    ),
    guard(
        "a message that the journal does not know is re-published",
        f"{DEPLOYS}/turn.py",
        "await self._context.publisher.message(held)",
        "return",
        "everything accepted is deployed",
        "test_services.py::test_no_message_is_lost_if_the_journal_is_deleted_while_everything_is_down",
    ),
    guard(
        "whoever kills a command writes that its deploy was interrupted",
        f"{DEPLOYS}/deploy.py",
        """            await self._context.unwritten.write(self._server.name, self._journal, self._context.publisher)
""",
        "",
        "has not reported its end|may still be running",
        "test_services.py::test_an_orderly_stop_leaves_no_process_and_interrupted_deploys_run_again",
    ),
    guard(
        "a lost connection is reopened",
        f"{BROKER}/link.py",
        "        worked = True\n",
        "        return\n",
        "has ended|Connection refused",
        "test_services.py::test_a_service_frozen_during_a_storm_continues_when_it_wakes_and_loses_nothing",
        LINE,
        "test_outages.py::test_a_broker_that_is_killed_and_restarted_on_its_disk_has_lost_nothing",
    ),
    Guard(
        "a failed write to the ledger is retried",
        (
            Edit(f"{SUCCESSES}/ledger/ledger.py", "if attempt == TRIES or not is_transient(error):", "if True:"),
            Edit(f"{SUCCESSES}/service.py", "except LedgerFault as fault:", "except ZeroDivisionError as fault:"),
        ),
        "has ended|Connection refused",
        ("test_lines.py::test_a_broken_postgresql_connection_stops_no_deploy_and_the_ledger_is_complete_afterwards",),
    ),
    guard(
        "heartbeats",
        f"{BROKER}/connecting.py",
        "update_query(heartbeat=str(heartbeat))",
        'update_query(heartbeat="0")',
        "it is noticed|the command is stopped",
        *(f"{LINE}[{service}-goes silent]" for service in SERVICES),
        "test_outages.py::test_a_frozen_broker_is_given_up_and_its_deploys_run_again",
    ),
    guard(
        "a late confirmation is waited for",
        f"{BROKER}/publisher.py",
        "CONFIRM_SECONDS = 5.0",
        "CONFIRM_SECONDS = 0.2",
        "did not confirm",
        "test_lines.py::test_a_slow_broker_connection_costs_only_time",
    ),
    guard(
        "the same move is the same message",
        "shared/usher/core/messages.py",
        "id=message_id(identity, server) if identity else secrets.token_hex(16),",
        "id=secrets.token_hex(16),",
        "'deployed', 1",
        "test_lines.py::test_a_lost_answer_to_jira_does_not_create_a_second_message",
    ),
    guard(
        "a blocked publisher is refused immediately",
        f"{BROKER}/link.py",
        "if self.lost.is_set() or self.blocked.is_set():",
        "if self.lost.is_set():",
        "503, False",
        "test_outages.py::test_during_an_alarm_nothing_is_accepted_and_a_running_deploy_keeps_its_turn",
    ),
    guard(
        "the same fault is logged once",
        f"{BROKER}/link.py",
        'if fault and (kind := str(fault).partition(" (")[0]) != said:',
        'if fault and (kind := str(fault).partition(" (")[0]):',
        r"says \d+ changes",
        "test_outages.py::test_every_broker_outage_shows_in_readiness_and_log_and_everything_recovers",
    ),
    guard(
        "a result that cannot be read is parked",
        f"{SUCCESSES}/results/results.py",
        "await self._publisher.park(delivery.body, delivery.message_id, reason)",
        "pass",
        "each of them is parked once",
        "test_by_hand.py::test_a_malformed_message_from_the_console_is_parked_and_blocks_no_turn_and_no_result",
    ),
    guard(
        "messages that no queue delivers are re-published from the journal",
        f"{SUCCESSES}/results/sweep.py",
        "for message in (*found.waiting, *returning):",
        "for message in returning:",
        "re-published from the journal|the broker has dropped|everything is deployed",
        "test_by_hand.py::test_deleting_a_queue_during_a_deploy_stops_the_command_and_its_messages_are_re_published",
        "test_by_hand.py::test_the_doctor_names_policies_that_lose_messages_and_dropped_messages_are_re_published",
    ),
    guard(
        "a command is stopped when the channel of its turn closes",
        f"{BROKER}/consumer.py",
        "    channel.closed.also(consumer.lost)\n",
        "",
        "the broker takes the turn away",
        "test_by_hand.py::test_the_doctor_names_a_policy_that_removes_consumers_and_nothing_is_deployed_twice_at_once",
    ),
    guard(
        "a retry waits in a queue of the broker",
        f"{SUCCESSES}/results/decisions.py",
        "await self._publisher.retry(again.message, again.delay, left)",
        "pass",
        "is retrying",
        POWER,
    ),
    guard(
        "a stopping `deploys` gives its turns back",
        f"{DEPLOYS}/worker.py",
        "                await turn.give_back()\n",
        "                pass\n",
        "has not reported its end|may still be running",
        "test_rolling.py::test_a_rolling_restart_loses_duplicates_and_delays_nothing",
    ),
    guard(
        "every queue has a member on every node",
        f"{BROKER}/topology.py",
        '"x-queue-type": "quorum",',
        '"x-queue-type": "quorum", "x-quorum-initial-group-size": 1,',
        "three members of each are online",
        "test_cluster.py::test_every_queue_and_the_journal_are_on_all_three_nodes",
    ),
    guard(
        "only the webhook can be reached at the port for Jira",
        "cluster/haproxy.cfg",
        "unless { path_beg /webhooks/ }",
        "if FALSE",
        "NOT_FOUND|404",
        "test_cluster.py::test_the_port_for_jira_leads_to_the_webhook_and_to_nothing_else",
    ),
)

LATER = """

async def _later(publisher: Publisher, message: BackMessage) -> None:
    await __import__("asyncio").sleep(1)
    await publisher.message(message)
"""
"""Appended to the door's module: the function that the first edit calls."""
