"""The checker: whether Usher kept its promises.

It compares the accepted messages, the notes of the commands, the broker and the ledger. It never relies on what the
services report about themselves: the ledger and the queues show that nothing was lost, and the notes of the commands
show that nothing was deployed twice at once.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from faults.notes import Accepted, Notes, Run, longest, overlaps, undeployed

Row = dict[str, Any]

UNSETTLED = ("waiting", "deploying", "failed", "retrying")
UNKNOWN = -1
"""The count of a queue of which the console reports none."""

TERMINAL = ("deployed", "superseded", "withdrawn", "parked")


@dataclass(frozen=True)
class Places:
    """Where to look: the address of `successes`, the management console with its user, and the vhost."""

    successes: Callable[[], str]
    console: str
    user: tuple[str, str]
    vhost: str

    def rows(self, what: str) -> list[Row]:
        """All items of the API's list `what` (messages or deploys). Raises httpx.HTTPError."""
        rows: dict[str, Row] = {}
        page, pages = 1, 1
        while page <= pages:
            query = f"{self.successes()}/api/{what}?per_page=500&page={page}"
            answer = httpx.get(query, timeout=20).raise_for_status().json()
            rows |= {row["id"]: row for row in answer["items"]}
            page, pages = page + 1, answer["pages"]
        return list(rows.values())

    def queues(self, *, streams: bool = False) -> dict[str, Row]:
        """The console's data of each queue; of the journal only with `streams`. Raises httpx.HTTPError."""
        answer = httpx.get(f"{self.console}/api/queues/{self.vhost}", auth=self.user, timeout=20).raise_for_status()
        return {queue["name"]: queue for queue in answer.json() if streams or queue.get("type") != "stream"}

    def parked(self) -> set[str]:
        """The ids of the messages in `usher.parked`, which stay there. Raises httpx.HTTPError."""
        request = {"count": 100_000, "ackmode": "ack_requeue_true", "encoding": "auto", "truncate": 10}
        queue = f"{self.console}/api/queues/{self.vhost}/usher.parked/get"
        answer = httpx.post(queue, auth=self.user, json=request, timeout=20).raise_for_status()
        return {message["properties"]["message_id"] for message in answer.json()}


@dataclass(frozen=True)
class History:
    """Everything that can be observed at one time."""

    accepted: Sequence[Accepted]
    runs: Sequence[Run]
    messages: Sequence[Row]
    deploys: Sequence[Row]
    queued: Mapping[str, int]
    parked: Collection[str]

    @classmethod
    def observe(cls, accepted: Iterable[Accepted], notes: Notes, places: Places) -> "History":
        """Observe everything now. Raises httpx.HTTPError."""
        # the console has no count for a queue that is new or has no leader: it is not known to be empty
        queued = {name: queue.get("messages", UNKNOWN) for name, queue in places.queues().items()}
        # the console counts every five seconds, so its count of `usher.parked` may be stale
        parked = places.parked() if "usher.parked" in queued else set()
        return cls(tuple(accepted), notes.runs(), places.rows("messages"), places.rows("deploys"), queued, parked)

    def unsettled(self) -> list[str]:
        """What is not settled yet, as sentences; empty if everything is."""
        open_ = [f"{m['id']} ({m['issue']}) is {m['state']}" for m in self.messages if m["state"] in UNSETTLED]
        open_ += [f"{name} holds {count}" for name, count in self.queued.items() if count and name != "usher.parked"]
        parked = {message["id"] for message in self.messages if message["state"] == "parked"}
        if parked != set(self.parked):
            # while `usher.parked` is being cleaned, its messages are held for a second or two
            open_.append(f"the ledger has {sorted(parked)} as parked, but usher.parked holds {sorted(self.parked)}")
        known = {message["id"] for message in self.messages}
        return open_ + [f"the ledger does not have {one.id}" for one in self.accepted if one.id not in known]

    def faults(self) -> list[str]:
        """Every broken promise, as a sentence. Call this once nothing is unsettled."""
        return [*self._lost(), *self._overlapping(), *self._undeployed(), *self._untrue()]

    def _lost(self) -> Iterable[str]:
        chains: dict[str, list[Row]] = defaultdict(list)
        for message in self.messages:
            chains[message["origin"] or message["id"]].append(message)
        for one in self.accepted:
            ends = [message["state"] for message in chains[one.id] if message["state"] != "retried"]
            if len(ends) != 1 or ends[0] not in TERMINAL:
                yield f"{one.id} ({one.issue} to {one.server}) was accepted and has the final states {ends}"

    def _overlapping(self) -> Iterable[str]:
        yield from (f"{b} began while {a} was alive" for a, b in overlaps(self.runs))
        for server in {run.server for run in self.runs}:
            fences = [run.fence for run in self.runs if run.server == server]
            if fences != sorted(set(fences)):
                yield f"the fences of {server} do not increase: {fences}"

    def _undeployed(self) -> Iterable[str]:
        parked = {(message["server"], message["issue"]) for message in self.messages if message["state"] == "parked"}
        for server, issue in undeployed(self.accepted, self.runs) - parked:
            yield f"{issue} was accepted for {server} after its last deploy that passed had begun"

    def _untrue(self) -> Iterable[str]:
        passed = {run.deploy for run in self.runs if run.code == 0}
        for deploy in self.deploys:
            if deploy["outcome"] == "passed" and deploy["id"] not in passed:
                yield f"the ledger has deploy {deploy['id']} as passed, but its command did not pass"

    def figures(self, kills: Mapping[str, int] | None = None, redelivered: int | None = None) -> dict[str, object]:
        """The figures of a run; `kills` and `redelivered` are what the test counted."""
        gone = sum("which ran it" in (deploy["reason"] or "") for deploy in self.deploys)
        found: dict[str, object] = {
            "accepted": len(self.accepted),
            "messages": dict(Counter(message["state"] for message in self.messages)),
            "deploys": dict(Counter(deploy["outcome"] for deploy in self.deploys)),
            "commands begun": len(self.runs),
            "commands killed": sum(not run.ended for run in self.runs),
            "takeovers from a holder that is gone": gone,
            "longest gap between two accepted (s)": longest(one.at for one in self.accepted),
            "longest gap between two deploys (s)": longest(run.begin for run in self.runs),
            "longest wait for a deploy (s)": round(max(self._waits(), default=0), 1),
        }
        if kills is not None:
            found["kills"] = {"total": sum(kills.values()), **kills}
        if redelivered is not None:
            found["redelivered"] = redelivered
        return found

    def _waits(self) -> Iterable[float]:
        """How long each message waited until its last deploy began."""
        begins = {run.deploy: run.begin for run in self.runs}
        for message in self.messages:
            if message["state"] in ("deployed", "superseded") and message["deploy"] in begins:
                yield begins[message["deploy"]] - datetime.fromisoformat(message["queued_at"]).timestamp()


class Redeliveries:
    """Counts redeliveries, as far as the broker was asked before a restart reset its counters."""

    def __init__(self) -> None:
        self.count = 0
        self._last: dict[str, int] = {}

    def look(self, queues: Mapping[str, Row]) -> None:
        """Add the console's data of the queues. A restarted broker counts from zero."""
        for name, queue in queues.items():
            now = queue.get("message_stats", {}).get("redeliver", 0)
            before = self._last.get(name, 0)
            self.count += now - before if now >= before else now
            self._last[name] = now
