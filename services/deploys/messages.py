"""Reads what a server's queue delivers. Anyone who may publish could have put it there."""

from usher.broker.consumer import Delivery
from usher.core.errors import Unreadable
from usher.core.events import decode_message
from usher.core.messages import BackMessage
from usher.core.servers import Server
from usher.core.versions import check


class Foreign(Unreadable):
    """{issue} is not an issue of {server}'s project"""


def message_of(delivery: Delivery, server: Server) -> BackMessage:
    """The message that the server's queue delivered.

    Raises NotUnderstood, Foreign if its issue belongs to another project, and Unreadable if it is not a message to this
    server.
    """
    check(delivery.headers, f"message {delivery.message_id}")
    message = decode_message(delivery.body)
    if message.server != server.name:
        raise Unreadable(why=f"it is for {message.server}, but in the queue of {server}")
    if message.issue.project.lower() != server.project:
        raise Foreign(issue=message.issue, server=server, message=message.id)
    return message
