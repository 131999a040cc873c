"""Types of settings: names, addresses, exit codes and ports, checked when they are read."""

import re
from datetime import timedelta
from typing import Annotated

from pydantic import AfterValidator, AmqpDsn, BeforeValidator, Field, SecretStr, TypeAdapter, ValidationError

from usher.settings.units import Duration

_LEDGER = re.compile(r"sqlite(\+\w+)?:///.+|postgresql(\+psycopg)?://[^/]+/[^/?]+(\?.*)?")
MAX_SECRET = 4096
_AMQP: TypeAdapter[AmqpDsn] = TypeAdapter(AmqpDsn)


def _is_amqp(secret: SecretStr) -> SecretStr:
    try:
        _AMQP.validate_python(secret.get_secret_value())
    except ValidationError:
        raise ValueError('a broker\'s address looks like "amqp://user:password@host/vhost"') from None
    return secret


def _is_ledger(secret: SecretStr) -> SecretStr:
    if not _LEDGER.fullmatch(secret.get_secret_value()):
        raise ValueError(
            'a ledger\'s address looks like "sqlite:///usher.db" or "postgresql://user:password@host/database"'
        )
    return secret


def _content(name: object) -> object:
    """The content of a file that a setting names, without the end of the line."""
    if not isinstance(name, str) or not name:
        raise ValueError("must be the name of a file")
    try:
        with open(name, encoding="utf-8") as file:
            content = file.read(MAX_SECRET).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"cannot read {name} ({getattr(error, 'strerror', 'it is not text')})") from None
    if not content:
        raise ValueError(f"{name} is empty; write the password into it")
    return content


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _lower(value: object) -> object:
    return value.strip().lower() if isinstance(value, str) else value


ProjectKey = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z][a-z0-9_]{0,254}$")]
StatusKey = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
ExitCode = Annotated[int, Field(ge=1, le=255)]
Delay = Annotated[Duration, Field(ge=timedelta(milliseconds=1))]
SecretFile = Annotated[SecretStr, BeforeValidator(_content)]
Port = Annotated[int, Field(ge=0, le=65535)]
LedgerUrl = Annotated[SecretStr, AfterValidator(_is_ledger)]
BrokerUrl = Annotated[SecretStr, AfterValidator(_is_amqp)]
BrokerUrls = Annotated[tuple[BrokerUrl, ...], BeforeValidator(_as_list)]
