"""The broker's half of a connection. It is called only by frames."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crashes.memory.broker import MemoryBroker
    from crashes.memory.served import ServedChannel
    from crashes.memory.wire import Wire


class Session:
    """A connection, as the broker sees it. `gone` is true until it is accepted, and after it has ended."""

    def __init__(self, broker: "MemoryBroker", wire: "Wire") -> None:
        self.broker = broker
        self.wire = wire
        self.channels: list[ServedChannel] = []
        self.gone = True
        self.stalled = False

    def close(self) -> None:
        """The client closes the connection."""
        if not self.gone:
            self.wire.to_client.send(self.wire.client.lost)
            self.lost()

    def lost(self) -> None:
        """The connection is gone: its unacked messages return to their queues."""
        if self.gone:
            return
        self.gone = True
        self.wire.to_broker.stop()
        self.broker.sessions.remove(self)
        for channel in tuple(self.channels):
            channel.drop()

    def stall(self) -> None:
        """It published during an alarm: read nothing more from it until the alarm ends."""
        if not self.stalled:
            self.stalled = True
            self.wire.to_broker.hold("alarm")
            self.wire.to_client.send(self.wire.client.block)

    def resume(self) -> None:
        """The alarm has ended."""
        if self.stalled:
            self.stalled = False
            self.wire.to_client.send(self.wire.client.unblock)
            self.wire.to_broker.release("alarm")
