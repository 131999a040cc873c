"""Plants bugs: replaces functions of the product for the rest of the process."""

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
"""A seed for each bug that finds it. After a change of the product other seeds may find it: run `make planted`."""


def recorded() -> dict[str, int]:
    """The seeds in that file."""
    return dict(json.loads(SEEDS.read_text())) if SEEDS.exists() else {}


def mutation(breaks: str, *, calm: bool = False) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a bug by the name of its function."""

    def register(plant: Callable[[], None]) -> Callable[[], None]:
        MUTATIONS[plant.__name__] = Mutation(breaks, plant, calm)
        return plant

    return register


def put(owner: Any, name: str, what: Any) -> None:
    """Replace the owner's attribute of that name by `what`."""
    setattr(owner, name, what)


def instead(owner: Any, name: str, make: Callable[[Method], Method]) -> None:
    """Replace the owner's function of that name by what `make` makes of it."""
    put(owner, name, make(getattr(owner, name)))
