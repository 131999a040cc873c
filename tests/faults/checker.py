"""The checker: whether Usher kept its word, from what was told, what the commands wrote, the broker and the ledger.

Nothing here asks the services how they think they did: that nothing was lost is seen in the ledger and the queues, that
nothing was doubled in what the commands themselves wrote.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import httpx

from faults.notes import Notes, Run, Told, longest, overlaps, undeployed

Row = dict[str, Any]

UNSETTLED = ("waiting", "deploying", "failed", "retrying")
UNKNOWN = -1
TERMINAL = ("deployed", "superseded", "withdrawn", "parked")


@dataclass(frozen=True)
class Places:
    """Where to look: the address of `successes`, the management console's with its user, and the vhost."""

    successes: Callable[[], str]
    console: str
    user: tuple[str, str]
    vhost: str

    def rows(self, what: str) -> list[Row]:
        """All of that kind in the ledger. Raises httpx.HTTPError."""
        rows: dict[str, Row] = {}
        page, pages = 1, 1
        while page <= pages:
            query = f"{self.successes()}/api/{what}?per_page=500&page={page}"
            answer = httpx.get(query, timeout=20).raise_for_status().json()
            rows |= {row["id"]: row for row in answer["items"]}
            page, pages = page + 1, answer["pages"]
        return list(rows.values())

    def queues(self, *, streams: bool = False) -> dict[str, Row]:
        """What the console says of each queue; of the journal only with `streams`. Raises httpx.HTTPError."""
        answer = httpx.get(f"{self.console}/api/queues/{self.vhost}", auth=self.user, timeout=20).raise_for_status()
        return {queue["name"]: queue for queue in answer.json() if streams or queue.get("type") != "stream"}

    def parked(self) -> set[str]:
        """The ids of what is in `usher.parked`, which is left there. Raises httpx.HTTPError."""
        order = {"count": 100_000, "ackmode": "ack_requeue_true", "encoding": "auto", "truncate": 10}
        queue = f"{self.console}/api/queues/{self.vhost}/usher.parked/get"
        answer = httpx.post(queue, auth=self.user, json=order, timeout=20).raise_for_status()
        return {message["properties"]["message_id"] for message in answer.json()}


@dataclass(frozen=True)
class History:
    """All that there is to see, at one time."""

    told: Sequence[Told]
    runs: Sequence[Run]
    messages: Sequence[Row]
    deploys: Sequence[Row]
    queued: Mapping[str, int]
    parked: Collection[str]

    @classmethod
    def seen(cls, told: Iterable[Told], notes: Notes, places: Places) -> "History":
        """What can be seen now. Raises httpx.HTTPError."""
        # of a queue that is new, or nobody leads, the console says no number: it is not known to be empty
        queued = {name: queue.get("messages", UNKNOWN) for name, queue in places.queues().items()}
        # the console counts every five seconds, so what it says of `usher.parked` may be late
        parked = places.parked() if "usher.parked" in queued else set()
        return cls(tuple(told), notes.runs(), places.rows("messages"), places.rows("deploys"), queued, parked)

    def unsettled(self) -> list[str]:
        """What still has to come to an end; empty if nothing does."""
        left = [f"{m['id']} ({m['issue']}) is {m['state']}" for m in self.messages if m["state"] in UNSETTLED]
        left += [f"{name} holds {count}" for name, count in self.queued.items() if count and name != "usher.parked"]
        parked = {message["id"] for message in self.messages if message["state"] == "parked"}
        if parked != set(self.parked):
            # whoever cleans `usher.parked` holds what is in it for a second or two
            left.append(f"the ledger has {sorted(parked)} as parked, and usher.parked holds {sorted(self.parked)}")
        known = {message["id"] for message in self.messages}
        return left + [f"the ledger does not have {one.id}" for one in self.told if one.id not in known]

    def faults(self) -> list[str]:
        """Every promise that was not kept, as a sentence. To be asked when nothing is unsettled any more."""
        return [*self._lost(), *self._doubled(), *self._undeployed(), *self._untrue()]

    def _lost(self) -> Iterable[str]:
        chains: dict[str, list[Row]] = defaultdict(list)
        for message in self.messages:
            chains[message["origin"] or message["id"]].append(message)
        for one in self.told:
            ends = [message["state"] for message in chains[one.id] if message["state"] != "retried"]
            if len(ends) != 1 or ends[0] not in TERMINAL:
                yield f"{one.id} ({one.issue} to {one.server}) was accepted and has the last states {ends}"

    def _doubled(self) -> Iterable[str]:
        yield from (f"{b} began while {a} was alive" for a, b in overlaps(self.runs))
        for server in {run.server for run in self.runs}:
            fences = [run.fence for run in self.runs if run.server == server]
            if fences != sorted(set(fences)):
                yield f"the fences of {server} do not grow: {fences}"

    def _undeployed(self) -> Iterable[str]:
        parked = {(message["server"], message["issue"]) for message in self.messages if message["state"] == "parked"}
        for server, issue in undeployed(self.told, self.runs) - parked:
            yield f"{issue} was told to {server} after its last deploy that passed had begun"

    def _untrue(self) -> Iterable[str]:
        passed = {run.deploy for run in self.runs if run.code == 0}
        for deploy in self.deploys:
            if deploy["outcome"] == "passed" and deploy["id"] not in passed:
                yield f"the ledger has deploy {deploy['id']} as passed, and its command does not"

    def figures(self, kills: Mapping[str, int] | None = None, redelivered: int | None = None) -> dict[str, object]:
        """What a reader wants to know of it; `kills` and `redelivered` are what the test counted."""
        gone = sum("which ran it" in (deploy["reason"] or "") for deploy in self.deploys)
        found: dict[str, object] = {
            "accepted": len(self.told),
            "messages": dict(Counter(message["state"] for message in self.messages)),
            "deploys": dict(Counter(deploy["outcome"] for deploy in self.deploys)),
            "commands begun": len(self.runs),
            "commands cut": sum(not run.ended for run in self.runs),
            "takeovers from a holder that is gone": gone,
            "longest gap between two accepted (s)": longest(one.at for one in self.told),
            "longest gap between two deploys (s)": longest(run.begin for run in self.runs),
            "longest wait for a deploy (s)": round(max(self._waits(), default=0), 1),
        }
        if kills is not None:
            found["kills"] = {"in all": sum(kills.values()), **kills}
        if redelivered is not None:
            found["redelivered"] = redelivered
        return found

    def _waits(self) -> Iterable[float]:
        """How long each message waited for the beginning of the deploy that it ended in."""
        begins = {run.deploy: run.begin for run in self.runs}
        for message in self.messages:
            if message["state"] in ("deployed", "superseded") and message["deploy"] in begins:
                yield begins[message["deploy"]] - datetime.fromisoformat(message["queued_at"]).timestamp()


class Redeliveries:
    """How many messages the broker has brought again, as far as it was asked before it forgot."""

    def __init__(self) -> None:
        self.count = 0
        self._last: dict[str, int] = {}

    def look(self, queues: Mapping[str, Row]) -> None:
        """Take in what the console says of the queues; a broker that restarts begins to count anew."""
        for name, queue in queues.items():
            now = queue.get("message_stats", {}).get("redeliver", 0)
            before = self._last.get(name, 0)
            self.count += now - before if now >= before else now
            self._last[name] = now
