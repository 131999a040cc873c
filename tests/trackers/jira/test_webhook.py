"""The parser of Jira's webhooks, tested by example and by properties."""

import json
import tomllib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trackers.jira.webhook import Ignored, IgnoredMove, Move, Moved, NotJson, Reading, read
from usher.core.issues import Issue
from usher.core.servers import Servers
from usher.settings import Settings

SERVERS = Settings.model_validate(
    {
        "projects": {"pear": {"statuses": ["test", "beta"]}},
        "statuses": {"beta": {"jira": ["Beta", "10003", "Бета"]}, "test": {"jira": ["QA"]}},
    }
).catalogue


def parse(body: object, servers: Servers = SERVERS, **headers: str) -> Reading:
    return read({name.replace("_", "-"): value for name, value in headers.items()}, json.dumps(body).encode(), servers)


def the_move(reading: Reading) -> Move:
    assert isinstance(reading, Moved), reading
    (move,) = reading.moves
    return move


def moved(**item: object) -> dict[str, Any]:
    """What Jira Cloud sends for a move to Beta, with these fields of its one item changed."""
    base = {"field": "status", "fieldtype": "jira", "fieldId": "status", "to": "10003", "toString": "Beta"}
    return body_with({**base, **item})


def body_with(*items: object) -> dict[str, Any]:
    return {
        "webhookEvent": "jira:issue_updated",
        "timestamp": 1763847600123,
        "issue": {"id": "10412", "self": "https://orchard.example/rest/api/2/issue/10412", "key": "PEAR-12"},
        "changelog": {"id": "20481", "items": list(items)},
    }


def without(body: dict[str, Any], *path: str | int) -> dict[str, Any]:
    inner: Any = body
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return body


def test_a_move_has_its_issue_server_time_and_identity(cloud_move: dict[str, Any]) -> None:
    move = the_move(parse(cloud_move))
    assert (str(move.issue), move.server.name) == ("PEAR-12", "beta.pear.wwts.com")
    assert move.moved_at == cloud_move["timestamp"]
    assert move.identity == ("change", "orchard.atlassian.net", "10412", "20481")


@pytest.mark.parametrize(
    "item",
    [
        {"field": "Статус"},
        {"field": None},
        {"fieldId": None},
        {"fieldId": 7},
        {"to": "77", "toString": " bETA "},
        {"to": 10003, "toString": None},
        {"to": "10003", "toString": "Renamed"},
        {"to": None, "toString": "Бета"},
        {"to": ["x"], "toString": "Beta"},
        {"from": "10003", "fromString": "Beta"},
    ],
)
def test_a_status_item_is_found_by_its_field_and_matched_by_name_or_id(item: dict[str, object]) -> None:
    assert the_move(parse(moved(**item))).server.name == "beta.pear.wwts.com"


@pytest.mark.parametrize(
    "item",
    [
        {"fieldId": "customfield_10044"},
        {"fieldId": None, "fieldtype": "custom"},
        {"fieldId": None, "field": "assignee"},
        {"fieldId": None, "field": 7},
        {"fieldId": None, "field": "status" * 100},
    ],
)
def test_a_field_that_only_resembles_the_status_is_ignored(item: dict[str, object]) -> None:
    assert parse(moved(**item)) == Ignored("no status was changed", 1763847600123)


@pytest.mark.parametrize(
    "item", [{"field": "Status"}, {"fieldtype": None}, {"field": None}, {"field": " STATUS\u00a0"}]
)
def test_an_item_that_does_not_say_which_field_it_changes_is_ignored_and_the_reason_says_so(
    item: dict[str, Any],
) -> None:
    reading = parse(without(moved(**item), "changelog", "items", 0, "fieldId"))
    assert isinstance(reading, Ignored)
    assert reading.reason == (
        "no status was changed; an item of changelog.items has no fieldId: "
        'write "fieldId": "status" if it changes the status'
    )


@pytest.mark.parametrize("name", ["Betamax", "not Beta", "Be ta", "B"])
def test_a_status_must_match_completely(name: str) -> None:
    assert isinstance(parse(moved(to=None, toString=name)), IgnoredMove)


def test_a_repeated_item_is_one_move() -> None:
    body = moved()
    body["changelog"]["items"] *= 3
    assert the_move(parse(body)).server.name == "beta.pear.wwts.com"


def test_a_change_through_two_statuses_is_a_move_to_each_server() -> None:
    steps = [{"fieldId": "status", "toString": name} for name in ("Beta", "In Progress", "QA")]
    reading = parse(body_with(*steps))
    assert isinstance(reading, Moved)
    assert [move.server.name for move in reading.moves] == ["beta.pear.wwts.com", "test.pear.wwts.com"]


def test_the_number_of_statuses_read_from_one_body_is_limited() -> None:
    steps = [{"fieldId": "status", "toString": name} for name in ("Beta", *map(str, range(5000)), "QA")]
    assert the_move(parse(body_with(*steps))).server.name == "beta.pear.wwts.com"


@pytest.mark.parametrize("changes", [{"webhookEvent": None}, {"webhookEvent": "jira:issue_created"}])
def test_an_issue_created_in_a_status_is_a_move_and_so_is_a_body_without_an_event_name(
    changes: dict[str, object],
) -> None:
    assert the_move(parse({**moved(), **changes})).issue == Issue("PEAR", 12)


@pytest.mark.parametrize(
    "event", ["comment_created", "jira:issue_deleted", "worklog_updated", "x" * 200, "\0\ud800"], ids=ascii
)
def test_any_other_event_is_ignored_with_its_name(event: str) -> None:
    reading = parse({**moved(), "webhookEvent": event})
    assert isinstance(reading, Ignored)
    assert reading.reason.endswith("is not a status change")
    assert reading.reason.isprintable()
    assert len(reading.reason) < 150


def test_a_post_function_names_the_status_in_its_transition() -> None:
    body = {"transition": {"to_status": "beta"}, "comment": "", "issue": moved()["issue"], "timestamp": 1763847600123}
    move = the_move(parse(body))
    assert move.server.name == "beta.pear.wwts.com"
    assert move.identity == ("telling", "orchard.example", "PEAR-12", "beta", "1763847600123")


class TestIdentity:
    def test_a_number_and_its_text_are_the_same(self) -> None:
        body = moved()
        body["issue"]["id"], body["changelog"]["id"] = 10412, 20481
        assert the_move(parse(body)).identity == the_move(parse(moved())).identity

    def test_without_a_host_the_site_is_empty(self) -> None:
        for self_ in (None, 5, "", "no address", "http://[", "/rest/api/2/issue/1"):
            body = moved()
            body["issue"]["self"] = self_
            assert the_move(parse(body)).identity == ("change", "", "10412", "20481")

    def test_without_a_change_id_it_is_the_delivery(self) -> None:
        body = without(moved(), "changelog", "id")
        move = the_move(parse(body, X_Atlassian_Webhook_Identifier="d-1"))
        assert move.identity == ("delivery", "orchard.example", "PEAR-12", "d-1")

    def test_without_an_issue_id_it_is_issue_status_and_time(self) -> None:
        move = the_move(parse(without(moved(), "issue", "id")))
        assert move.identity == ("telling", "orchard.example", "PEAR-12", "beta", "1763847600123")

    def test_without_a_time_there_is_none_so_that_no_move_is_mistaken_for_another(self) -> None:
        assert the_move(parse(without(without(moved(), "issue", "id"), "timestamp"))).identity is None


@pytest.mark.parametrize(
    ("timestamp", "moved_at"),
    [
        ("2012-08-28T08:00:00.000+0000", 1346140800000),
        ("2012-08-28T10:00:00.250+0200", 1346140800250),
        ("2012-08-28T08:00:00", 1346140800000),
        ("1346140800000", 1346140800000),
        (1346140800000.5, 1346140800000),
        ("yesterday", None),
        ("0001-01-01T00:00:00+1400", None),
        (-1, None),
        (10**30, None),
        (float("inf"), None),
        (float("nan"), None),
        (True, None),
        ([], None),
        ("9" * 5000, None),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_time_is_read_from_milliseconds_or_iso_8601(timestamp: object, moved_at: int | None) -> None:
    assert the_move(parse({**moved(), "timestamp": timestamp})).moved_at == moved_at


def test_a_number_with_thousands_of_digits_does_no_harm() -> None:
    text = json.dumps({"more": "HERE", **moved(), "timestamp": "HERE"}).replace('"HERE"', "1" + "0" * 5000)
    assert the_move(read({}, text.encode(), SERVERS)).moved_at is None


HOSTILE = [
    "ABC-1;id",
    "--x",
    "PEAR-" + "1" * 300,
    "P" * 300 + "-1",
    "PEAR-1\0",
    "PEAR-1\n",
    " PEAR-1",
    "pear-1",
    "ПЕАР-1",
    "PEAR-١",
    "PEAR-0",
    "PEAR-012",
    "PEAR",
    "",
    "\ud800-1",
    "$(id)-1",
    "../PEAR-1",
    12,
    ["PEAR-1"],
    {"key": "PEAR-1"},
    True,
]


@pytest.mark.parametrize("key", HOSTILE, ids=lambda key: ascii(key)[:20])
def test_a_hostile_key_is_never_accepted(key: object) -> None:
    body = moved()
    body["issue"]["key"] = key
    reading = parse(body)
    assert isinstance(reading, IgnoredMove)
    assert "is not an issue" in reading.reason
    assert (reading.issue + reading.reason).isprintable()
    assert reading.accept is None


@pytest.mark.parametrize("path", [("issue", "key"), ("issue",)])
def test_a_missing_key_is_named(path: tuple[str, ...]) -> None:
    reading = parse(without(moved(), *path))
    assert isinstance(reading, IgnoredMove)
    assert reading.reason == 'issue.key is missing; the body must contain "issue": {"key": "ABC-123"}'
    assert (reading.issue, reading.status, reading.accept) == ("?", "Beta", None)


def servers_with(lines: str) -> Servers:
    """The servers of these settings, with these lines added."""
    added = tomllib.loads(lines)
    statuses: dict[str, Any] = {"beta": {"jira": ["Beta", "10003"]}, **added.get("statuses", {})}
    projects = {"pear": {"statuses": ["test", "beta"]}, **added.get("projects", {})}
    return Settings.model_validate({"projects": projects, "statuses": statuses}).catalogue


@pytest.mark.parametrize(
    ("key", "item", "reason", "accept"),
    [
        ("XYZ-1", {}, "unknown project XYZ; add [projects.xyz]", "[projects.xyz]"),
        (
            "PEAR-1",
            {"to": "10004", "toString": "Ready for QA"},
            'unknown status "Ready for QA" "10004"; known: stage, test, beta. To accept it, add '
            '[statuses.ready-for-qa] with jira = ["Ready for QA", "10004"] and '
            '[projects.pear] with statuses = ["beta", "test", "ready-for-qa"], or add it to another status',
            '[statuses.ready-for-qa]\njira = ["Ready for QA", "10004"]\n\n'
            '[projects.pear]\nstatuses = ["beta", "test", "ready-for-qa"]',
        ),
        (
            "PEAR-1",
            {"to": "4", "toString": "Тест"},
            None,
            '[statuses.status-4]\njira = ["Тест", "4"]\n\n[projects.pear]\nstatuses = ["beta", "test", "status-4"]',
        ),
        (
            "PEAR-1",
            {"to": None, "toString": 'a"b\\c'},
            None,
            '[statuses.a-b-c]\njira = ["a\\"b\\\\c"]\n\n[projects.pear]\nstatuses = ["beta", "test", "a-b-c"]',
        ),
        ("PEAR-1", {"to": "5", "toString": "Test"}, None, '[statuses.test]\njira = ["QA", "Test", "5"]'),
        (
            "PEAR-1",
            {"to": "6", "toString": "Stage"},
            'project pear does not deploy stage; add "stage" to [projects.pear] statuses',
            '[projects.pear]\nstatuses = ["beta", "test", "stage"]',
        ),
    ],
)
def test_an_ignored_move_gives_the_settings_lines_that_would_accept_it(
    key: str, item: dict[str, object], reason: str | None, accept: str
) -> None:
    body = moved(**item)
    body["issue"]["key"] = key
    reading = parse(body)
    assert isinstance(reading, IgnoredMove)
    assert reading.accept == accept
    assert reading.reason == (reason or reading.reason)
    assert isinstance(parse(body, servers_with(accept)), Moved)


def test_no_settings_line_is_suggested_for_a_status_that_is_not_printable() -> None:
    reading = parse(moved(to=None, toString="\ud800\u202e"))
    assert isinstance(reading, IgnoredMove)
    assert reading.accept is None
    assert reading.reason.isprintable()


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" \n",
        b"{",
        b'{"a": "b" c"}',
        b"\xff\xfe\xfd",
        b'{"a": "\xe4"}',
        b"\0",
        b"[" * 1_000_000,
        b'{"a":' * 1_000_000,
        b"[" * 500_000 + b"]" * 500_000,
    ],
    ids=lambda body: ascii(body[:12]),
)
def test_a_body_that_is_not_json_is_reported_as_such(body: bytes) -> None:
    reading = read({}, body, SERVERS)
    assert isinstance(reading, NotJson)
    assert reading.reason


@pytest.mark.parametrize("depth", [100, 900, 990, 995, 1000, 2000, 5000, 20_000])
def test_deep_nesting_anywhere_does_not_raise(depth: int) -> None:
    deep = "[" * depth + "]" * depth
    for place in ("webhookEvent", "issue", "changelog", "transition", "timestamp"):
        body = json.dumps({**moved(), place: "HERE"}).replace('"HERE"', deep)
        assert isinstance(read({}, body.encode(), SERVERS), Reading)
    for key in ("key", "id", "self", "fields"):
        body = json.dumps({"transition": {"to_status": "Beta"}, "issue": {"key": "PEAR-1", key: "HERE"}})
        assert isinstance(read({}, body.replace('"HERE"', deep).encode(), SERVERS), Reading)


def test_a_byte_order_mark_does_no_harm() -> None:
    assert isinstance(read({}, b"\xef\xbb\xbf" + json.dumps(moved()).encode(), SERVERS), Moved)


WORDS = st.sampled_from(["PEAR-12", "status", "jira", "Beta", "10003", "jira:issue_updated", "XYZ-1", "\ud800", "\0"])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
ITEM = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("field", "fieldtype", "fieldId", "to", "toString", "from"), ANYTHING)
)
ISSUE = st.fixed_dictionaries({}, optional=dict.fromkeys(("id", "self", "key", "fields"), ANYTHING))
WEBHOOK = st.fixed_dictionaries(
    {},
    optional={
        "webhookEvent": WORDS | ANYTHING,
        "timestamp": ANYTHING,
        "issue": ISSUE | ANYTHING,
        "changelog": st.fixed_dictionaries({"items": st.lists(ITEM | ANYTHING, max_size=4)}) | ANYTHING,
        "transition": st.fixed_dictionaries({"to_status": ANYTHING}) | ANYTHING,
    },
)


@given(WEBHOOK | ANYTHING)
def test_no_json_raises_and_every_move_is_valid(body: object) -> None:
    reading = parse(body)
    assert isinstance(reading, Reading)
    for move in reading.moves if isinstance(reading, Moved) else ():
        assert Issue.parse(str(move.issue)) == move.issue
        assert move.server in SERVERS


@given(st.binary(), st.dictionaries(st.text(), st.text(), max_size=3))
def test_arbitrary_bytes_never_raise(body: bytes, headers: dict[str, str]) -> None:
    assert isinstance(read(headers, body, SERVERS), Reading)


@given(st.integers(0, 300), st.integers(0, 300), st.binary(max_size=3))
def test_a_damaged_body_never_raises(start: int, length: int, instead: bytes) -> None:
    text = json.dumps(moved()).encode()
    assert isinstance(read({}, text[:start] + instead + text[start + length :], SERVERS), Reading)
