"""Small words that people read: counts, and processes."""


def count(number: int, noun: str) -> str:
    """`1 issue`, `2 issues`."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def process(name: str) -> str:
    """`deploys@host:4711`, as services call themselves, is `deploys on host (process 4711)`; other names stay."""
    service, _, where = name.partition("@")
    host, _, number = where.rpartition(":")
    return f"{service} on {host} (process {number})" if host and number else name
