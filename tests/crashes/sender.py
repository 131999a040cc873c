"""The outside world: Jira, which sends each move until it is accepted, and people who give orders."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Any

from crashes.clocks import BEGAN
from crashes.plan import HOLD, SERVERS, Move, Order
from crashes.replicas import Replica
from successes.orders.desk import Signed
from trackers.door import AcceptedMessage, Ignored
from trackers.jira.bodies import Unparsable
from usher.api.orders import OrderState
from usher.core.errors import BadMessage, BrokerError, UsherError
from usher.core.issues import Issue
from usher.core.messages import BackMessage
from usher.core.orders import DropOrder, HoldOrder, ReleaseOrder, RetryOrder, WithdrawOrder
from usher.core.scopes import EVERYTHING

ANSWER_SECONDS = 30.0
ORDER_ASKS = 3
RUBBISH = (b"", b"{", b"\xff\xfe", b"[" * 5000, b'{"webhookEvent": 7}', b"null", b'{"issue_id": "beta"}', b'"\\u0000"')


def webhook(move: Move, number: int) -> bytes:
    """The body that Jira sends for that move. It is always the same."""
    status, project = SERVERS[move.server].split(".")[:2]
    issue = {"id": str(10_000 + move.issue), "key": f"{project.upper()}-{move.issue}"}
    item = {"field": "status", "fieldtype": "jira", "fieldId": "status", "toString": status.capitalize()}
    return json.dumps(
        {
            "timestamp": BEGAN + round(move.at * 1000),
            "webhookEvent": "jira:issue_updated",
            "issue": {**issue, "self": f"https://orchard.example/rest/api/2/issue/{issue['id']}", "fields": {}},
            "changelog": {"id": str(number), "items": [item]},
        }
    ).encode()


class Outside:
    """Sends moves and orders over HTTP. Answers can get lost, or never come."""

    def __init__(self, world: Any) -> None:
        self._world = world

    async def send(self, number: int, move: Move, late: float) -> None:
        """Send a move until it is accepted, with a pause after each failed attempt."""
        loop, history = self._world.loop, self._world.history
        await asyncio.sleep(move.at + late)
        request = {"jira": self._webhook, "api": self._message, "rubbish": self._rubbish}[move.form]
        while True:
            replica = loop.chance.choice(self._world.of("trackers"))
            answer = await self.ask(replica, partial(request, number, move))
            if answer == "accepted":
                return
            if answer not in (None, "later"):
                history.note("violation", why=f"move {number} ({move.form}): {answer}")
                return
            await asyncio.sleep(loop.chance.uniform(1, 15))

    async def _webhook(self, number: int, move: Move, replica: Replica) -> str:
        try:
            answer = await replica.service.door.webhook({}, webhook(move, number))
        except BrokerError:
            return "later"
        if isinstance(answer, Ignored):
            return f"it was ignored: {answer.reason}"
        for one in answer.messages:
            self._accepted(number, one, replica)
        return "accepted"

    async def _message(self, number: int, move: Move, replica: Replica) -> str:
        status, project = SERVERS[move.server].split(".")[:2]
        front = json.dumps({"issue_id": f"{project.upper()}-{move.issue}", "status": status}).encode()
        try:
            self._accepted(number, await replica.service.door.message(front, "127.0.0.1"), replica)
        except BrokerError:
            return "later"
        return "accepted"

    async def _rubbish(self, number: int, _: Move, replica: Replica) -> str:
        rubbish = RUBBISH[number % len(RUBBISH)]
        with suppress(Unparsable):
            if not isinstance(await replica.service.door.webhook({}, rubbish), Ignored):
                return f"{rubbish!r} was accepted as a move"
        try:
            await replica.service.door.message(rubbish, "127.0.0.1")
        except BadMessage as bad:
            return "accepted" if str(bad) else f"{rubbish!r} was refused without a reason"
        return f"{rubbish!r} was accepted as a message"

    def _accepted(self, number: int, message: AcceptedMessage | BackMessage, replica: Replica) -> None:
        self._world.history.note(
            "accepted",
            number=number,
            message=message.id,
            issue=str(message.issue),
            server=message.server,
            by=str(replica.process),
        )

    async def order(self, order: Order) -> None:
        """Give an order, and repeat it as often as the plan says. After an error or no answer, send it again.

        The id is always the same.
        """
        await asyncio.sleep(order.at)
        if order.what == HOLD:
            await self._hold(order)
            return
        chance, server = self._world.loop.chance, SERVERS[order.server]
        issue = Issue(server.split(".")[1].upper(), order.issue)
        self._world.history.note("order asked", what=order.what, server=server, issue=str(issue))
        signed, deploy = Signed(chance.randbytes(16).hex(), "somebody", "simulated"), self._some_deploy()
        door = order.door if order.what == "withdraw" else "successes"

        async def give(replica: Replica) -> str:
            try:
                state = await self._given(order.what, replica, signed, (server,), (issue,), deploy)
            except UsherError as fault:
                self._world.history.note("order refused", id=signed.id, why=str(fault))
                return "later" if isinstance(fault, BrokerError) else "done"
            self._world.history.note("order answered", id=signed.id, state=state.state)
            return "done"

        for late in (0.0, *order.again):
            await asyncio.sleep(late)
            for _ in range(ORDER_ASKS):
                if await self.ask(chance.choice(self._world.of(door)), give) == "done":
                    break
                await asyncio.sleep(chance.uniform(0.1, 5))

    async def _hold(self, order: Order) -> None:
        """Hold a server, or all servers, until an answer says so. Release the hold in half of its time, or never."""
        chance, loop = self._world.loop.chance, self._world.loop
        scope = EVERYTHING if order.issue == 1 else ".".join(SERVERS[order.server].split(".")[:2])
        facts = {"by": "somebody", "reason": "simulated", "at": BEGAN + round(loop.time() * 1000), "servers": ()}
        until = facts["at"] + round(order.seconds * 1000)
        hold = HoldOrder(id=chance.randbytes(16).hex(), **facts, scope=scope, until=until)
        await self._until_given(hold)
        if order.released:
            await asyncio.sleep(order.seconds / 2)
            await self._until_given(ReleaseOrder(id=chance.randbytes(16).hex(), **facts, holds=(hold.id,)))

    async def _until_given(self, order: HoldOrder | ReleaseOrder) -> None:
        chance = self._world.loop.chance

        async def give(replica: Replica) -> str:
            assert replica.orders
            with suppress(BrokerError):
                return (await replica.orders.desk.give(order)).state
            return "later"

        while await self.ask(chance.choice(self._world.of("successes")), give) not in ("standing", "done"):
            await asyncio.sleep(chance.uniform(0.1, 5))

    async def _given(
        self,
        what: str,
        replica: Replica,
        signed: Signed,
        servers: tuple[str, ...],
        issues: tuple[Issue, ...],
        deploy: str,
    ) -> OrderState:
        """Give that order to a replica, and return its answer."""
        if replica.kind == "trackers":
            query = [("id", signed.id), ("by", signed.by), *(("issue", str(issue)) for issue in issues)]
            query += [("server", server) for server in servers if len(servers) == 1]
            state: OrderState = await replica.service.door.withdraw(query, 0, "here")
            return state
        assert replica.orders
        desk = replica.orders.desk
        if what == "retry deploy":
            return await desk.retry_deploy(deploy, signed)
        kind = {"withdraw": WithdrawOrder, "retry": RetryOrder, "drop": DropOrder}[what]
        facts = {"id": signed.id, "by": signed.by, "reason": signed.reason, "at": replica.clock.now()}
        return await desk.give(kind(**facts, servers=servers, issues=issues))

    async def withdraw_all(self) -> None:
        """Withdraw every issue from every server."""
        settings, history = self._world.settings, self._world.history
        servers = tuple(server.name for server in settings.catalogue)
        issues = tuple(Issue(project.upper(), n) for project in settings.projects for n in range(1, 6))
        for server in servers:
            for issue in issues:
                history.note("order asked", what="withdraw", server=server, issue=str(issue))
        signed = Signed(self._world.loop.chance.randbytes(16).hex(), "somebody", "simulated")

        async def give(replica: Replica) -> str:
            with suppress(UsherError):
                await self._given("withdraw", replica, signed, servers, issues, "")
            return "done"

        await self.ask(self._world.of("trackers")[0], give)

    async def ask(self, replica: Replica, request: Callable[[Replica], Awaitable[str]]) -> str | None:
        """The answer of a replica; None if there is none."""
        chance, process = self._world.loop.chance, replica.process
        await asyncio.sleep(chance.uniform(0.001, 0.05))
        if process is None or replica.service is None or process.ended.done() or process.stopping:
            return None

        async def serve() -> str:
            replica.serving += 1
            try:
                return await request(replica)
            finally:
                replica.serving -= 1

        asked = process.run(serve())
        asked.add_done_callback(self._world.noted)
        await asyncio.wait((asked, process.ended), timeout=ANSWER_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        await asyncio.sleep(chance.uniform(0.001, 0.05))
        lost = not asked.done() or asked.cancelled() or asked.exception() or chance.random() < 0.03
        return None if lost else asked.result()

    def _some_deploy(self) -> str:
        ended = [str(entry["deploy"]) for entry in self._world.history.of("command.ended") if entry["code"] != 0]
        return ended[-1] if ended else "0" * 12
