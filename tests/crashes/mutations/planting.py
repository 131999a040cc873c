"""How a bug is planted: instead of a function of the product's, for the rest of the process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Method = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Mutation:
    """A planted bug, and what it breaks."""

    breaks: str
    plant: Callable[[], None]
    calm: bool = False


MUTATIONS: dict[str, Mutation] = {}

SEEDS = Path(__file__).with_name("seeds.json")
"""For each bug a seed that finds it. A change of the product changes which seeds do: `make planted` finds them anew."""


def recorded() -> dict[str, int]:
    """The seeds of that file."""
    return dict(json.loads(SEEDS.read_text())) if SEEDS.exists() else {}


def mutation(breaks: str, *, calm: bool = False) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register one by its function's name."""

    def register(plant: Callable[[], None]) -> Callable[[], None]:
        MUTATIONS[plant.__name__] = Mutation(breaks, plant, calm)
        return plant

    return register


def put(owner: Any, name: str, what: Any) -> None:
    """`what` instead of the owner's attribute of that name."""
    setattr(owner, name, what)


def instead(owner: Any, name: str, make: Callable[[Method], Method]) -> None:
    """What is made of the owner's function of that name instead of it."""
    put(owner, name, make(getattr(owner, name)))
