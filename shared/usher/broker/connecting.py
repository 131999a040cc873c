"""Opens and closes connections of aio-pika, with error messages that say what to fix."""

import asyncio
import os
from collections.abc import Awaitable

import aio_pika
from aio_pika.abc import AbstractConnection
from aiormq.exceptions import (
    AMQPConnectionError,
    AuthenticationError,
    ConnectionNotAllowed,
    InvalidFrameError,
    ProbableAuthenticationError,
)
from pydantic import SecretStr
from yarl import URL

from usher.core.errors import BrokerError
from usher.runtime.addresses import join
from usher.runtime.tasks import end

CONNECT_SECONDS = 10.0
CLOSED = "it closed the connection; has it started?"
CLOSE_SECONDS = 2.0
"""How long to wait for a connection to close."""


async def open_connection(url: SecretStr, *, heartbeat: int, name: str) -> AbstractConnection:
    """Open an aio-pika connection. Raises BrokerError, which says what to fix."""
    target = URL(url.get_secret_value()).update_query(heartbeat=str(heartbeat))
    try:
        return await _connected(aio_pika.Connection(target, client_properties={"connection_name": name}))
    except (AuthenticationError, ProbableAuthenticationError):
        raise BrokerError(why=f"the broker refuses {address(url)}: wrong user or password in [broker] url") from None
    except ConnectionNotAllowed as error:
        raise BrokerError(why=f"the broker refuses {address(url)}: {error}; check the vhost in [broker] url") from None
    except InvalidFrameError:
        # the broker closes the connection instead of opening the vhost, and the client does not read the reason
        raise BrokerError(
            why=f"the broker refuses {address(url)}: does the vhost exist, and may the user use it? See [broker] url"
        ) from None
    except (AMQPConnectionError, OSError, StopAsyncIteration) as error:
        raise BrokerError(
            why=f"no broker answers at {address(url)} ({_reason(error)}); start it, or correct [broker] url"
        ) from None


def _reason(error: OSError | StopAsyncIteration) -> str:
    """Why there is no connection, in words. The client gives its own errors the numbers of the system's.

    It raises StopAsyncIteration if the connection is closed before it waits for the broker's first frame.
    """
    if isinstance(error, StopAsyncIteration):
        return CLOSED
    says = error.strerror or ""
    if isinstance(error, TimeoutError):
        return f"no answer within {CONNECT_SECONDS:.0f} s"
    if "CERTIFICATE_VERIFY_FAILED" in says:
        return "its certificate is not trusted"
    if "[SSL" in says:
        return "it does not speak TLS, which amqps:// needs"
    if error.errno and error.errno > 0:
        return os.strerror(error.errno).lower()
    if says:  # a host name that cannot be resolved
        return says.lower()
    closed = any(words in str(error) for words in ("connection reset", "Read 0 bytes"))
    return CLOSED if closed else "what answers there is not an AMQP broker"


async def _connected(connection: AbstractConnection) -> AbstractConnection:
    try:
        await connection.connect(timeout=CONNECT_SECONDS)
    except BaseException:
        # without this, it would close when it is garbage-collected, which may be after its event loop has ended
        await closed(connection.close(), CLOSE_SECONDS)
        raise
    return connection


def address(url: SecretStr) -> str:
    """A broker's address without its password: `user@host:5672/vhost`."""
    parts = URL(url.get_secret_value())
    default = 5671 if parts.scheme == "amqps" else 5672
    return f"{parts.user or 'guest'}@{join(parts.host or '', parts.port or default)}{parts.path}"


async def closed(closing: Awaitable[None], seconds: float) -> None:
    """Wait at most `seconds` for a connection to close, then give up. Errors are ignored: it may be lost already."""
    task = asyncio.ensure_future(closing)
    await asyncio.wait((task,), timeout=seconds)
    await end(task)


async def channel_closed(closing: Awaitable[None], seconds: float) -> None:
    """Wait at most `seconds` for a channel to close; after that it closes in the background. Errors are ignored.

    It is never cancelled: the client would send the request a second time, and the broker answers a request to close a
    closed channel by closing the connection.
    """
    task = asyncio.ensure_future(closing)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    await asyncio.wait((task,), timeout=seconds)
