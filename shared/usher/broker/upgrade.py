"""What an upgrade does to the broker: versions 0.9 and 0.10 lose their way into the journal.

They cannot be taught to halt at what they do not understand, so facts go through an exchange of a new name, and the old
one is replaced by one of another kind that fills nothing. An older process can then neither write to the journal, hence
run nothing, nor declare the exchange as it knows it, hence it does not start.
"""

from usher.broker.link import Link
from usher.broker.port import Kind, Mismatch
from usher.core.errors import BrokerError

FORMER_FACTS = "usher.events"
"""The exchange by which 0.9 and 0.10 wrote to the journal."""

TRIES = 10
"""A running 0.10 declares its exchange again within seconds if it can; each try takes milliseconds."""


async def shut_out_former(link: Link) -> None:
    """See that no process of 0.9 or 0.10 can write to the journal. Raises BrokerError if one cannot be stopped."""
    for _ in range(TRIES):
        if await _declared(link, delete_first=False) or await _declared(link, delete_first=True):
            return
    raise BrokerError(why=f"processes of Usher 0.10 or older keep declaring {FORMER_FACTS}; stop them first")


async def _declared(link: Link, *, delete_first: bool) -> bool:
    """Whether the exchange is the one that fills nothing; a refused declaration costs its channel."""
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
