"""No message's state goes back: the whole table, read as a person would."""

import pytest

from usher.core.states import BEFORE, State

# from                       to: waiting deploying failed retrying retried parked superseded withdrawn deployed
TABLE = """
waiting                         yes     yes       yes    .        yes     yes    yes        yes       yes
deploying                       yes     yes       yes    .        yes     yes    yes        yes       yes
failed                          .       .         .      .        yes     yes    yes        yes       yes
retrying                        yes     yes       yes    yes      yes     yes    yes        yes       yes
retried                         .       .         .      .        .       .      .          .         yes
parked                          .       .         .      .        yes     .      yes        yes       yes
superseded                      .       .         .      .        .       .      .          .         .
withdrawn                       .       .         .      .        .       .      .          .         .
deployed                        .       .         .      .        .       .      .          .         .
"""
ROWS = [line.split() for line in TABLE.strip().splitlines()]


def test_the_table_is_whole() -> None:
    assert [State(row[0]) for row in ROWS] == list(State)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_message_comes_only_into_states_that_are_further_on(row: list[str]) -> None:
    found = ["yes" if State(row[0]) in BEFORE[state] else "." for state in State]
    assert found == row[1:]
