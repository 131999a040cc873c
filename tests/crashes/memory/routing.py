"""Exchanges and bindings: which queues receive a message."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from usher.broker.port import Argument, Kind, Mismatch, NotFound


@dataclass(slots=True)
class Exchange:
    """An exchange. `bindings` are (key, queue or exchange, whether it is an exchange), in order."""

    kind: Kind
    alternate: str | None
    bindings: list[tuple[str, str, bool]] = field(default_factory=list)


class Exchanges:
    """All exchanges."""

    def __init__(self) -> None:
        self._exchanges: dict[str, Exchange] = {}
        self._routes: dict[tuple[str, str], tuple[str, ...]] = {}

    def declare(self, name: str, kind: Kind, arguments: Mapping[str, Argument]) -> None:
        """Declare an exchange. Raises Mismatch if it exists with other arguments."""
        alternate = arguments.get("alternate-exchange")
        wanted = Exchange(kind, None if alternate is None else str(alternate))
        found = self._exchanges.setdefault(name, wanted)
        if (found.kind, found.alternate) != (wanted.kind, wanted.alternate):
            raise Mismatch(why=f"PRECONDITION_FAILED - inequivalent arg for exchange '{name}'")
        self._routes.clear()

    def bind(self, exchange: str, key: str, destination: str, *, to_exchange: bool) -> None:
        """Bind a queue or an exchange to an exchange. Raises NotFound."""
        if to_exchange:
            self._get(destination)
        bindings, binding = self._get(exchange).bindings, (key, destination, to_exchange)
        if binding not in bindings:
            bindings.append(binding)
        self._routes.clear()

    def unbind(self, exchange: str, key: str, queue: str) -> None:
        """Remove the binding of a queue, if there is one."""
        if found := self._exchanges.get(exchange):
            found.bindings = [b for b in found.bindings if b != (key, queue, False)]
        self._routes.clear()

    def delete(self, name: str) -> None:
        """Delete an exchange with all its bindings."""
        self._exchanges.pop(name, None)
        for exchange in self._exchanges.values():
            exchange.bindings = [b for b in exchange.bindings if b[1] != name or not b[2]]
        self._routes.clear()

    def forget(self, queue: str) -> None:
        """Remove all bindings of a deleted queue."""
        for exchange in self._exchanges.values():
            exchange.bindings = [b for b in exchange.bindings if b[1] != queue or b[2]]
        self._routes.clear()

    def route(self, exchange: str, key: str) -> tuple[str, ...]:
        """The queues that receive a message with that key, each once. Raises NotFound."""
        found = self._routes.get((exchange, key))
        if found is None:
            queues: dict[str, None] = {}
            self._walk(exchange, key, [], queues)
            found = self._routes[exchange, key] = tuple(queues)
        return found

    def _walk(self, name: str, key: str, seen: list[str], queues: dict[str, None]) -> None:
        if name in seen:
            return
        seen.append(name)
        exchange = self._get(name)
        bound = [b for b in exchange.bindings if exchange.kind is Kind.FANOUT or matches(b[0], key)]
        for _, destination, to_exchange in bound:
            if to_exchange:
                self._walk(destination, key, seen, queues)
            else:
                queues[destination] = None
        if not bound and exchange.alternate in self._exchanges:
            self._walk(exchange.alternate, key, seen, queues)

    def _get(self, name: str) -> Exchange:
        if name not in self._exchanges:
            raise NotFound(why=f"NOT_FOUND - no exchange '{name}'")
        return self._exchanges[name]


def matches(pattern: str, key: str) -> bool:
    """Whether a topic binding matches that key: `*` stands for one word, `#` for any number of words."""
    return _match(pattern.split("."), key.split(".") if key else [])


def _match(pattern: list[str], words: list[str]) -> bool:
    if not pattern or pattern == [""]:
        return not words
    if pattern[0] == "#":
        return any(_match(pattern[1:], words[n:]) for n in range(len(words) + 1))
    return bool(words) and pattern[0] in ("*", words[0]) and _match(pattern[1:], words[1:])
