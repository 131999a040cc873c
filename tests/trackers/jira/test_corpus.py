"""Recorded bodies: a move gives one message with its key, any other body none, both in the parser and at the door.

`USHER_CORPUS` names a folder with more of them.
"""

import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import httpx

from trackers.jira.webhook import Moved, read
from usher.core.messages import BackMessage
from usher.core.names import fold
from usher.core.servers import Server, Servers
from usher.settings import Settings


def test_a_recorded_move_gives_one_message_and_any_other_body_none(recorded) -> None:
    project = recorded.key.partition("-")[0].lower() or "pear"
    servers = Servers([Server("here", "test", project)], {fold(recorded.to): "test"}, ("test",))
    reading = read({}, recorded.body, servers)
    keys = [str(move.issue) for move in reading.moves] if isinstance(reading, Moved) else []
    assert keys == ([recorded.key] if recorded.moves else [])


async def test_the_door_handles_every_recorded_body(
    corpus,
    make_settings: Callable[..., Settings],
    running: Callable[[Settings], AbstractAsyncContextManager[httpx.AsyncClient]],
    journal: Callable[[Settings], Awaitable[list[BackMessage]]],
) -> None:
    projects = {recorded.key.partition("-")[0] for recorded in corpus if recorded.key}
    words = sorted({fold(recorded.to) for recorded in corpus if recorded.to})
    settings = make_settings(
        STATUSES__TEST__JIRA=json.dumps(words),
        STATUSES__BETA__JIRA="[]",
        STATUSES__STAGE__JIRA="[]",
        **{f"PROJECTS__{project}__STATUSES": '["test"]' for project in projects},
    )
    accepted: dict[str, str] = {}
    async with running(settings) as http:
        for recorded in corpus:
            answer = await http.post("/webhooks/jira?user_id=pia&user_key=pia", content=recorded.body)
            assert answer.status_code in ({202} if recorded.moves else {200, 400}), recorded.name
            if recorded.moves:
                (message,) = answer.json()["messages"]
                assert message["issue"] == recorded.key, recorded.name
                accepted[message["id"]] = message["issue"]
    in_journal = {message.id: str(message.issue) for message in await journal(settings)}
    assert in_journal == accepted
