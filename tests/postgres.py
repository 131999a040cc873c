"""PostgreSQL for tests, in a container."""

import os
import secrets
import time
from collections.abc import Iterator

import psycopg
import pytest


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """A temporary PostgreSQL in a container, for this test run: its address, without a database."""
    os.environ["TESTCONTAINERS_RYUK_DISABLED"] = "true"  # read at import; the block below cleans up
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer

    password = secrets.token_hex(8)
    made = DockerContainer("postgres:17").with_env("POSTGRES_PASSWORD", password).with_exposed_ports(5432)
    try:
        made.with_command("-c fsync=off").start()
    except DockerException as fault:
        raise RuntimeError(f"the tests on PostgreSQL need a container engine; start Docker ({fault})") from None
    try:
        url = f"postgresql://postgres:{password}@{made.get_container_host_ip()}:{made.get_exposed_port(5432)}"
        _until_it_answers(url)
        yield url
    finally:
        made.stop()


def _until_it_answers(url: str) -> None:
    deadline = time.monotonic() + 90
    while True:
        try:
            psycopg.connect(f"{url}/postgres").close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline, "PostgreSQL does not answer"
            time.sleep(0.1)


@pytest.fixture
def postgres_url(postgres: str) -> Iterator[str]:
    """The address of a PostgreSQL database for this test."""
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(f"{postgres}/postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield f"{postgres}/{name}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
