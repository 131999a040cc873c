"""Names of statuses: which are the same, and which status a name probably means."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usher.core.names import fold, likely
from usher.settings import parse

SAME = [
    ("Prêt", unicodedata.normalize("NFD", "Prêt")),
    ("Ready for beta", "Ready\u00a0for\u2003 beta"),
    ("Ready for beta", "\tREADY FOR  BETA\n"),
    ("Office", "O\ufb03ce"),
    ("ＢＥＴＡ", "beta"),
    ("Straße", "STRASSE"),
    ("Beta", "Be\u200bta\ufeff"),
    ("ΣΊΣΥΦΟΣ", "σίσυφος"),
]


@pytest.mark.parametrize(("one", "other"), SAME, ids=ascii)
def test_names_that_look_the_same_are_the_same(one: str, other: str) -> None:
    assert fold(one) == fold(other)
    settings = parse(f'[projects.abc]\n[statuses.live]\njira = ["{one}"]\n[statuses.beta]\njira = []\n', "these")
    assert settings.catalogue.status(other) == "live"


@pytest.mark.parametrize(("one", "other"), [("Pret", "Prêt"), ("Readyforbeta", "Ready for beta"), ("Beta", "Бета")])
def test_other_names_are_not(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@given(st.text())
def test_folding_twice_changes_nothing_more(name: str) -> None:
    assert fold(fold(name)) == fold(name)
    assert fold(unicodedata.normalize("NFD", name)) == fold(name)


@given(st.text(), st.text())
def test_the_white_space_around_a_name_does_not_count(name: str, other: str) -> None:
    assert fold(f" \u00a0{name}\u2028 ") == fold(name)


@pytest.mark.parametrize(
    ("names", "meant"),
    [
        (["Ready for Beta"], "beta"),
        (["BETA (internal)", "10003"], "beta"),
        (["Ready for QA", "10004"], "ready-for-qa"),
        (["Betamax"], "betamax"),
        (["STAGING"], "staging"),
        (["Beta test"], "beta-test"),
        (["Pre-Live"], "pre_live"),
        (["Prêt à tester"], "pret-a-tester"),
        (["Pre Live now"], "pre_live"),
        (["Тест", "4"], "status-4"),
        (["10005"], "status-10005"),
        (["!"], "status"),
        (["x" * 60], "x" * 40),
        ([], "status"),
    ],
)
def test_a_name_means_a_status_only_if_it_contains_that_one_as_a_word(names: list[str], meant: str) -> None:
    assert likely(names, ("stage", "test", "beta", "pre_live")) == meant
