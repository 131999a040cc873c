"""What an upgrade does to the broker: it keeps versions 0.9 and 0.10 from writing to the journal.

These versions do not halt at entries that they do not understand. So facts go through an exchange with a new name, and
the old exchange is replaced by one of another kind that is bound to no queue. Then an older process that is running
cannot write to the journal, so it runs no commands. One that starts cannot declare its exchange, so it exits.
"""

from usher.broker.link import Link
from usher.broker.port import Kind, Mismatch
from usher.core.errors import BrokerError

FORMER_FACTS = "usher.events"
"""The exchange through which 0.9 and 0.10 write to the journal."""

TRIES = 10
"""How often to try. A running 0.10 declares its exchange only every few seconds, and a try takes milliseconds."""


async def shut_out_former(link: Link) -> None:
    """Keep processes of 0.9 and 0.10 from writing to the journal. Raises BrokerError if that fails."""
    for _ in range(TRIES):
        if await _declared(link, delete_first=False) or await _declared(link, delete_first=True):
            return
    raise BrokerError(why=f"processes of Usher 0.10 or older keep declaring {FORMER_FACTS}; stop them first")


async def _declared(link: Link, *, delete_first: bool) -> bool:
    """Try to declare the replacement exchange, on a separate channel, because a refusal closes the channel."""
    channel = await link.publishing.channel(confirms=False)
    try:
        if delete_first:
            await channel.delete_exchange(FORMER_FACTS)
        await channel.declare_exchange(FORMER_FACTS, Kind.FANOUT)
    except Mismatch:
        return False
    finally:
        await channel.close()
    return True
