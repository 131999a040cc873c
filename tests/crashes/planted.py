"""Bugs that are planted to see that the simulator finds them: each takes away what one rule is there for.

`plant` changes the product for the rest of the process, so a process of its own plants it. `calm` ones are seen best
while nothing goes wrong.
"""

from crashes.mutations import board, messages, orders, results, turns
from crashes.mutations.planting import MUTATIONS

__all__ = ["MUTATIONS", "board", "messages", "orders", "results", "turns"]
