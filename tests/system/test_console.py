"""People use the management console: looking loses nothing, and the messages of a deleted queue are kept."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest
from aio_pika import Message, connect

from usher.broker import topology
from usher.local.choose import Broker

if TYPE_CHECKING:
    from conftest import Programs

BETA = topology.server_queue("beta.abc.wwts.com")
LOOKS = 50


def look(broker: Broker, vhost_url: str, queue: str) -> list[dict[str, object]]:
    """The result of "Get messages" with "Nack message requeue true". Queues with a single active consumer refuse it."""
    vhost = vhost_url.rpartition("/")[2]
    answer = httpx.post(
        f"{broker.console}/api/queues/{vhost}/{queue}/get",
        json={"count": 5, "ackmode": "ack_requeue_true", "encoding": "auto"},
        auth=broker.credentials,
        timeout=30,
    )
    return list(answer.json()) if answer.status_code == 200 else []


@pytest.mark.slow
async def test_looking_at_each_queue_fifty_times_loses_nothing(
    make_programs: "Callable[..., Programs]", broker: Broker, vhost_url: str
) -> None:
    usher = make_programs()
    usher.start("trackers")
    usher.send("ABC-1", "beta")
    async with await connect(vhost_url) as connection, connection.channel() as channel:
        for exchange in (topology.UNROUTED, topology.PARKED, topology.RESULTS):
            await (await channel.get_exchange(exchange)).publish(Message(b"kept", message_id=exchange), "")
        for queue in (topology.UNROUTED, topology.PARKED, topology.RESULTS, BETA):
            for _ in range(LOOKS):
                look(broker, vhost_url, queue)
        for queue in (topology.UNROUTED, topology.PARKED, topology.RESULTS):
            kept = await (await channel.get_queue(queue)).get(timeout=10)
            assert kept is not None
            assert kept.message_id == queue
            await kept.nack()
    usher.start("deploys")
    usher.wait(lambda: any(run.ended for run in usher.runs()), "the waiting message is deployed")


@pytest.mark.slow
def test_messages_for_a_deleted_server_queue_are_kept_as_unrouted_and_deployed_later(
    make_programs: "Callable[..., Programs]", broker: Broker, vhost_url: str
) -> None:
    usher = make_programs()
    usher.start("trackers")  # a running deploys would declare the queue again at once
    vhost = vhost_url.rpartition("/")[2]
    httpx.delete(f"{broker.console}/api/queues/{vhost}/{BETA}", auth=broker.credentials, timeout=30).raise_for_status()
    usher.send("ABC-1", "beta")
    (shown,) = look(broker, vhost_url, topology.UNROUTED)
    assert '"ABC-1"' in str(shown["payload"])
    usher.start("deploys")
    usher.send("ABC-3", "beta")
    usher.wait(lambda: "of beta.abc.wwts.com passed" in usher.log("deploys"), "the queue is back")
    assert usher.runs()[-1].issues == ("ABC-1", "ABC-3")
