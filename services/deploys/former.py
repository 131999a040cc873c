"""Former servers: their names are in the journal, but no longer in the settings. Nobody consumes their queues.

A server with a new name has the routing key of its former name. So the former queue would receive every message, too.
"""

import logging
from collections.abc import Iterable

from usher.broker.link import Link
from usher.broker.port import NotFound
from usher.broker.topology import SERVERS, server_queue
from usher.core.board.board import Board
from usher.core.errors import BrokerError
from usher.core.servers import Server

log = logging.getLogger(__name__)

NAMED = 10
"""The maximum number of issues that the warning names for a server."""


async def retire(link: Link, board: Board, servers: Iterable[Server]) -> None:
    """Unbind the queues of former servers from the keys of present ones. Log one warning about what is pending there.

    Keys that no present server has stay bound: another `deploys`, with other servers in its settings, may need them.
    A failure is logged, and tried again at the next start.
    """
    servers = tuple(servers)
    stranded: list[str] = []
    for name in sorted(set(board) - {server.name for server in servers}):
        try:
            await _unbind(link, server_queue(name), [server.routing_key for server in servers])
        except BrokerError as fault:
            log.warning("the queue of the former server %s cannot be unbound: %s", name, fault)
        if issues := list(dict.fromkeys(str(message.issue) for message in board.server(name).waiting)):
            more = f" and {len(issues) - NAMED} more" if len(issues) > NAMED else ""
            stranded.append(f"{name} ({' '.join(issues[:NAMED])}{more})")
    if stranded:
        log.warning(
            "! pending on servers that are no longer in the settings: %s. To deploy them, put the servers back; to "
            "give them up, use `usher withdraw ISSUE`",
            ", ".join(stranded),
        )


async def _unbind(link: Link, queue: str, keys: Iterable[str]) -> None:
    """Unbind a queue from these keys. Does nothing if it does not exist."""
    channel = await link.publishing.channel(confirms=False)
    try:
        await channel.count(queue)
        for key in keys:
            await channel.unbind_queue(queue, SERVERS, key)
    except NotFound:
        return
    finally:
        await channel.close()
