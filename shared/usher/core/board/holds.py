"""The holds that stand. While one of them matches a server, no taking of that server is granted."""

from collections.abc import Iterable, Iterator

from usher.core.orders import HoldOrder
from usher.core.scopes import Scope


class Holds:
    """The standing holds and warnings, oldest first."""

    def __init__(self, standing: Iterable[HoldOrder] = ()) -> None:
        self._standing = {hold.id: (Scope.of(hold.scope), hold) for hold in standing}

    def __iter__(self) -> Iterator[HoldOrder]:
        return (hold for _, hold in self._standing.values())

    def __len__(self) -> int:
        return len(self._standing)

    def get(self, hold: str) -> HoldOrder | None:
        """The hold with that id, if it stands."""
        _, found = self._standing.get(hold, (None, None))
        return found

    def begin(self, hold: HoldOrder) -> None:
        """From now on, it stands."""
        self._standing[hold.id] = (Scope.of(hold.scope), hold)

    def end(self, hold: str) -> bool:
        """It no longer stands. Returns False if it did not stand before."""
        return self._standing.pop(hold, None) is not None

    def on(self, place: str) -> tuple[HoldOrder, ...]:
        """The holds and warnings on the server with this `status.project`."""
        return tuple(hold for scope, hold in self._standing.values() if scope.matches(place))

    def stop(self, *places: str) -> bool:
        """Whether a hold matches one of these `status.project`. Warnings stop nothing."""
        return any(not hold.warning for place in places for hold in self.on(place))
