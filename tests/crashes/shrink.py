"""Makes a plan that fails smaller: faults, moves, orders and commands are dropped, one by one, while it still fails."""

from collections.abc import Callable

from crashes.plan import Plan

PARTS = ("faults", "orders", "moves", "commands")


def shrink(plan: Plan, fails: Callable[[Plan], bool], most: int) -> Plan:
    """The smallest plan that was found within so many runs and of which `fails` is still true."""
    runs = 0
    smaller = True
    while smaller:
        smaller = False
        for part in PARTS:
            index = len(getattr(plan, part)) - 1
            while index >= 0 and runs < most:
                runs += 1
                less = plan.without(part, index)
                if fails(less):
                    plan, smaller = less, True
                index -= 1
        smaller = smaller and runs < most
    return plan
