"""Shrinks a failing plan: it drops faults, orders, moves and commands one by one while the plan still fails."""

from collections.abc import Callable

from crashes.plan import Plan

PARTS = ("faults", "orders", "moves", "commands")


def shrink(plan: Plan, fails: Callable[[Plan], bool], max_runs: int) -> Plan:
    """The smallest failing plan that is found within `max_runs` runs."""
    runs = 0
    smaller = True
    while smaller:
        smaller = False
        for part in PARTS:
            index = len(getattr(plan, part)) - 1
            while index >= 0 and runs < max_runs:
                runs += 1
                candidate = plan.without(part, index)
                if fails(candidate):
                    plan, smaller = candidate, True
                index -= 1
        smaller = smaller and runs < max_runs
    return plan
