"""Scopes: what a person may write, and which servers it means."""

import pytest

from usher.core.scopes import Scope, UnclearScope, UnknownScope, parse_scope
from usher.core.servers import Server, Servers


def server(status: str, project: str) -> Server:
    return Server(f"{status}.{project}.wwts.com", status, project)


SERVERS = Servers(
    [server("beta", "abc"), server("test", "abc"), server("beta", "def"), server("stage", "stage")],
    {},
    ["stage", "test", "beta"],
)


@pytest.mark.parametrize(
    ("text", "scope", "words"),
    [
        ("beta.abc.wwts.com", "beta.abc", "beta of ABC"),
        ("BETA.ABC.wwts.com", "beta.abc", "beta of ABC"),
        ("beta", "beta.*", "beta of every project"),
        ("ABC", "*.abc", "every server of ABC"),
        ("Beta of ABC", "beta.abc", "beta of ABC"),
        ("beta abc", "beta.abc", "beta of ABC"),
        ("beta.abc", "beta.abc", "beta of ABC"),
        ("*.def", "*.def", "every server of DEF"),
        ("*.*", "*.*", "every server"),
    ],
)
def test_a_scope_is_read_and_said(text: str, scope: str, words: str) -> None:
    found = parse_scope(text, SERVERS)
    assert (str(found), found.words, Scope.of(scope)) == (scope, words, found)


@pytest.mark.parametrize(
    "text", ["", "nowhere", "beta of XYZ", "test of DEF", "beta of of ABC", "beta.xyz", "abc of beta"]
)
def test_a_scope_without_a_server_is_refused(text: str) -> None:
    with pytest.raises(UnknownScope, match="neither a server, a status nor a project"):
        parse_scope(text, SERVERS)


def test_a_name_of_a_status_and_a_project_is_refused_with_what_to_write_instead() -> None:
    with pytest.raises(UnclearScope, match=r"write stage\.\* for the status, \*\.stage for the project"):
        parse_scope("stage", SERVERS)


def test_a_scope_matches_the_servers_of_its_status_and_project() -> None:
    places = {scope: [s.routing_key for s in Scope.of(scope).servers(SERVERS)] for scope in ("beta.*", "*.abc", "*.*")}
    assert places == {
        "beta.*": ["beta.abc", "beta.def"],
        "*.abc": ["beta.abc", "test.abc"],
        "*.*": ["beta.abc", "beta.def", "stage.stage", "test.abc"],
    }
