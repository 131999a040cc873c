"""The HTTP API: servers from the board, messages and deploys from the ledger."""

import asyncio
from collections.abc import Callable
from typing import Annotated

from fastapi import FastAPI, HTTPException, Query
from fastapi.responses import PlainTextResponse
from pydantic import AwareDatetime

from successes.ledger.ledger import Ledger, LedgerFault
from successes.ledger.queries import (
    Page,
    find_deploy,
    find_deploys,
    find_ignored,
    find_known,
    find_messages,
    find_output,
)
from successes.orders.desk import Desk
from successes.web import holds, orders
from successes.web.holds import add_holds
from successes.web.orders import add_orders
from successes.web.paging import IssueKey, Key, Paged
from successes.web.views import parked_message, server_states
from usher.api.types import Deploy, IgnoredMove, MessageState, ParkedMessage, ServerState
from usher.core.board.board import Board
from usher.core.events import Outcome
from usher.core.states import State
from usher.runtime.clock import Clock, SystemClock
from usher.settings import Settings
from usher.web.app import web_app
from usher.web.faults import answer_faults
from usher.web.page import About
from usher.web.readiness import Unready

ABOUT = About(
    "successes",
    "Handles the results of deploys, keeps the ledger, and serves the API that the usher command uses.",
    (
        ("/api/servers", "every server: what is pending, and what is running"),
        ("/api/orders", "who ordered what, and why"),
        ("/api/holds", "what is held, by whom, and until when"),
        ("/api/ignored", "moves that do not map to a server, and why"),
    ),
    (
        ("usher servers", "what is pending, and when it deploys"),
        ("usher show ABC-111", "what happened to an issue?"),
        ("usher history", "what has been deployed"),
        ("usher parked", "the parked issues, and why they failed"),
    ),
)

UNKNOWN: dict[int | str, dict[str, object]] = {404: {"description": "No such server or deploy"}}
UNREAD: dict[int | str, dict[str, object]] = {503: {"description": "The journal or the ledger cannot be read now"}}


def make_app(
    settings: Settings, ledger: Ledger, board: Callable[[], Board | None], desk: Desk, unready: Unready
) -> FastAPI:
    """Create the app. `board` returns the current board, or None before the journal has been read to its end."""
    caught_up, clock = _caught_up(board), SystemClock()
    app = web_app(ABOUT, settings, unready)
    answer_faults(app, {LedgerFault: 503, **orders.FAULTS, **holds.FAULTS})
    _add_servers(app, settings, caught_up, clock)
    _add_messages(app, ledger)
    _add_deploys(app, ledger, rehearses=settings.deploys.rehearses)
    _add_parked(app, ledger, caught_up)
    _add_ignored(app, ledger)
    add_orders(app, settings.catalogue, desk, clock)
    add_holds(app, settings.catalogue, desk, clock)
    return app


def _caught_up(board: Callable[[], Board | None]) -> Callable[[], Board]:
    def caught_up() -> Board:
        now = board()
        if now is None:
            raise HTTPException(503, "the journal is still being read; try again in a few seconds")
        return now

    return caught_up


def _add_servers(app: FastAPI, settings: Settings, caught_up: Callable[[], Board], clock: Clock) -> None:
    @app.get("/api/servers", tags=["servers"], responses=UNREAD)
    async def servers(asked: Paged) -> Page[ServerState]:
        """All servers: the state and its reason, waiting issues, window, running deploy, last deploy, failed issues."""
        board, now = caught_up(), clock.now()
        listed = list(settings.catalogue)
        here = listed[asked.offset : asked.offset + asked.per_page]
        return asked.of(len(listed), server_states(here, board, settings, now))

    @app.get("/api/servers/{server}", tags=["servers"], responses={**UNKNOWN, **UNREAD})
    async def one_server(server: str) -> ServerState:
        """One server."""
        (state,) = server_states([settings.catalogue.named(server)], caught_up(), settings, clock.now())
        return state


def _add_messages(app: FastAPI, ledger: Ledger) -> None:
    @app.get("/api/messages", tags=["messages"], responses=UNREAD)
    def messages(
        asked: Paged,
        project: Key = None,
        status: Key = None,
        state: State | None = None,
        issue: IssueKey = None,
        server: str | None = None,
        message: Annotated[str | None, Query(alias="id")] = None,
    ) -> Page[MessageState]:
        """Messages and their states, newest first."""
        exact = {"server": server, "id": message}
        matching = {"project": project, "status": status, "state": state, "issue": issue, **exact}
        with ledger.reading() as connection:
            return find_messages(connection, matching, asked)


def _add_deploys(app: FastAPI, ledger: Ledger, *, rehearses: bool) -> None:
    def known(deploy: str) -> Deploy:
        with ledger.reading() as connection:
            found = find_deploy(connection, deploy, rehearses=rehearses)
        if found is None:
            raise HTTPException(404, f"no deploy {ascii(deploy)[:40]} is known; /api/deploys lists them")
        return found

    @app.get("/api/deploys", tags=["deploys"], responses=UNREAD)
    def deploys(
        asked: Paged,
        server: str | None = None,
        outcome: Outcome | None = None,
        since: AwareDatetime | None = None,
        until: AwareDatetime | None = None,
    ) -> Page[Deploy]:
        """Deploys, newest first: those that began at `since` or later, and before `until`.

        `outcome` is null while a deploy is running.
        """
        matching = {"server": server, "outcome": outcome}
        with ledger.reading() as connection:
            return find_deploys(connection, matching, asked, rehearses=rehearses, began=(since, until))

    @app.get("/api/deploys/{deploy}", tags=["deploys"], responses={**UNKNOWN, **UNREAD})
    def one_deploy(deploy: str) -> Deploy:
        """One deploy."""
        return known(deploy)

    @app.get("/api/deploys/{deploy}/log", tags=["deploys"], responses=UNKNOWN, response_class=PlainTextResponse)
    def deploy_log(deploy: str) -> PlainTextResponse:
        """The end of the output of the deploy's command."""
        found = known(deploy)
        with ledger.reading() as connection:
            output = find_output(connection, deploy)
        # a command may print anything, and a browser must not treat that as a page
        return PlainTextResponse(_log(found, output), headers={"X-Content-Type-Options": "nosniff"})


def _add_parked(app: FastAPI, ledger: Ledger, caught_up: Callable[[], Board]) -> None:
    @app.get("/api/parked", tags=["parked"], responses=UNREAD)
    async def parked(asked: Paged, server: str | None = None, issue: IssueKey = None) -> Page[ParkedMessage]:
        """Parked messages, newest first: their final attempt failed, or their exit code is never retried."""
        board = caught_up()
        found = [
            entry
            for name in ([server] if server else board)
            if name in board.servers
            for entry in board.server(name).parked
            if issue is None or str(entry.message.issue) == issue
        ]
        found.sort(key=lambda entry: (-entry.message.queued_at, entry.message.id))
        here = found[asked.offset : asked.offset + asked.per_page]

        def read() -> dict[str, MessageState]:
            with ledger.reading() as connection:
                return find_known(connection, (entry.message.id for entry in here))

        known = await asyncio.to_thread(read)
        received = board.received
        items = [parked_message(e, received.get(e.message.id, 1), known.get(e.message.id)) for e in here]
        return asked.of(len(found), items)


def _add_ignored(app: FastAPI, ledger: Ledger) -> None:
    @app.get("/api/ignored", tags=["ignored"], responses=UNREAD)
    def ignored(asked: Paged, issue: IssueKey = None) -> Page[IgnoredMove]:
        """Moves that no server deploys, newest first: why, and the settings that would accept them."""
        with ledger.reading() as connection:
            return find_ignored(connection, {"issue": issue}, asked)


def _log(deploy: Deploy, output: str | None) -> str:
    if output is None:
        why = "it is still running" if deploy.outcome is None else f"it was {deploy.outcome}"
        return f"[there is no output of deploy {deploy.id}: {why}]\n"
    if not deploy.truncated:
        return output
    rest = f"the complete output is in {deploy.log} on the deploys host" if deploy.log else "the rest was not kept"
    return f"[truncated: this is the end; {rest}]\n{output}"
