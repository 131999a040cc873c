"""The broker's half of a connection. Only frames get here."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from crashes.memory.broker import MemoryBroker
    from crashes.memory.served import ServedChannel
    from crashes.memory.wire import Wire


class Session:
    """A connection as the broker has it; `gone` until it is accepted, and when it is no more."""

    def __init__(self, broker: "MemoryBroker", wire: "Wire") -> None:
        self.broker = broker
        self.wire = wire
        self.channels: list[ServedChannel] = []
        self.gone = True
        self.stalled = False

    def close(self) -> None:
        """The client closes it."""
        if not self.gone:
            self.wire.to_client.send(self.wire.client.lost)
            self.lost()

    def lost(self) -> None:
        """It is gone: what was delivered goes back."""
        if self.gone:
            return
        self.gone = True
        self.wire.to_broker.stop()
        self.broker.sessions.remove(self)
        for channel in tuple(self.channels):
            channel.drop()

    def stall(self) -> None:
        """It published under an alarm: read nothing more from it until that is over."""
        if not self.stalled:
            self.stalled = True
            self.wire.to_broker.hold("alarm")
            self.wire.to_client.send(self.wire.client.block)

    def go_on(self) -> None:
        """The alarm is over."""
        if self.stalled:
            self.stalled = False
            self.wire.to_client.send(self.wire.client.unblock)
            self.wire.to_broker.release("alarm")
