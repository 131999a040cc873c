"""Bugs that are planted to check that the simulator finds them. Each removes one rule of the product.

`plant` changes the product for the rest of the process, so each bug is planted in a separate process. `calm` bugs show
best in runs without faults. `mutations/seeds.json` records a seed that finds each bug; `make planted` writes it.
"""

from crashes.mutations import board, messages, orders, results, turns, versions
from crashes.mutations.planting import MUTATIONS, SEEDS, recorded

__all__ = ["MUTATIONS", "SEEDS", "board", "messages", "orders", "recorded", "results", "turns", "versions"]
