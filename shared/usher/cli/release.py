"""`usher release`: ends holds."""

import re
from contextlib import suppress
from typing import Annotated

import typer

from usher.api.client import Client
from usher.cli.options import Json, Reason
from usher.cli.ordered import finish
from usher.core.errors import BadCommand, BadMessage
from usher.core.scopes import EVERYTHING, parse_scope
from usher.core.servers import Servers
from usher.settings import load

_ID = re.compile(r"[0-9a-f]{6,32}", re.ASCII)


def release(
    words: Annotated[
        list[str] | None,
        typer.Argument(help="The id of a hold, or its scope, as `usher holds` lists them.", metavar="SCOPE|ID"),
    ] = None,
    reason: Reason = "",
    everything: Annotated[bool, typer.Option("--all", help="The hold on every server.")] = False,
    as_json: Json = False,
) -> None:
    """Release a hold, by its id or by its scope.

    A scope means all holds with exactly this scope. Other holds on the same servers stand.

    If no other hold stands, what has collected is deployed as soon as its window is over. The exit code is 1 if the
    hold had already ended.

    \b
    Examples:
      usher release 6f1ed002
      usher release beta of ABC
      usher release --all
    """
    if bool(words) == everything:
        raise BadCommand(why="name one hold by its id or its scope, or use --all; `usher holds` lists them")
    text = " ".join(words or [EVERYTHING])
    settings = load()
    named = {"hold": text.lower()} if _is_id(text, settings.catalogue) else {"scope": text}
    with Client(settings) as client:
        done = client.release(**named, reason=reason)
    finish(done, as_json=as_json)


def _is_id(text: str, servers: Servers) -> bool:
    """Whether a text is the id of a hold. A project can have a name that looks like one."""
    with suppress(BadMessage):
        parse_scope(text, servers)
        return False
    return _ID.fullmatch(text.lower()) is not None
