"""Phrases for people: counts and process names."""


def count(number: int, noun: str) -> str:
    """`1 issue`, `2 issues`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def process(name: str) -> str:
    """Write a service's name `deploys@host:4711` as `deploys on host (process 4711)`. Other names are kept."""
    service, _, where = name.partition("@")
    host, _, number = where.rpartition(":")
    return f"{service} on {host} (process {number})" if host and number else name
