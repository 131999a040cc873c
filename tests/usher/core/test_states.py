"""The state of a message never goes back: the complete table of transitions."""

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


def test_the_table_is_complete() -> None:
    assert [State(row[0]) for row in ROWS] == list(State)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_a_message_can_only_enter_the_states_in_the_table(row: list[str]) -> None:
    found = ["yes" if State(row[0]) in BEFORE[state] else "." for state in State]
    assert found == row[1:]
