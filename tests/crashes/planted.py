"""Bugs that are planted to see that the simulator finds them: each takes away what one rule is there for.

`plant` changes the product for the rest of the process, so a process of its own plants it. `calm` ones are seen best
while nothing goes wrong. `mutations/seeds.json` records a seed that finds each; `make planted` writes it.
"""

from crashes.mutations import board, messages, orders, results, turns, versions
from crashes.mutations.planting import MUTATIONS, SEEDS, recorded

__all__ = ["MUTATIONS", "SEEDS", "board", "messages", "orders", "recorded", "results", "turns", "versions"]
