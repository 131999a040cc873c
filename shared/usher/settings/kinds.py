"""Types of settings: names, addresses, exit codes and ports, checked when they are read."""

import re
from datetime import timedelta
from ipaddress import ip_network
from typing import Annotated
from urllib.parse import urlsplit

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


def _as_origin(text: str) -> str:
    """As a browser writes it in `Origin`: in lower case, without the scheme's usual port."""
    try:
        url = urlsplit(text.strip().lower())
        usual = {"http": 80, "https": 443}[url.scheme]
        host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
        if not host or url.username is not None or url.path.strip("/") or url.query or url.fragment:
            raise ValueError
        port = url.port
    except (KeyError, ValueError):
        raise ValueError('a URL of Usher looks like "https://usher.example.com", without a path') from None
    return f"{url.scheme}://{host}" + (f":{port}" if port not in (None, usual) else "")


def _is_network(text: str) -> str:
    try:
        return str(ip_network(text.strip()))
    except ValueError:
        raise ValueError('a proxy is named by its address or network, like "10.0.0.7" or "10.0.0.0/24"') from None


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


def _bare(value: object) -> object:
    return value.strip().removeprefix("[").removesuffix("]") if isinstance(value, str) else value


ProjectKey = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z][a-z0-9_]{0,254}$")]
StatusKey = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
ExitCode = Annotated[int, Field(ge=1, le=255)]
Delay = Annotated[Duration, Field(ge=timedelta(milliseconds=1))]
Host = Annotated[str, BeforeValidator(_bare)]
"""A host name or an address. An IPv6 address may be in brackets, as in a URL."""
SecretFile = Annotated[SecretStr, BeforeValidator(_content)]
Port = Annotated[int, Field(ge=0, le=65535)]
LedgerUrl = Annotated[SecretStr, AfterValidator(_is_ledger)]
BrokerUrl = Annotated[SecretStr, AfterValidator(_is_amqp)]
BrokerUrls = Annotated[tuple[BrokerUrl, ...], BeforeValidator(_as_list)]
Origins = Annotated[tuple[Annotated[str, AfterValidator(_as_origin)], ...], BeforeValidator(_as_list)]
Networks = Annotated[tuple[Annotated[str, AfterValidator(_is_network)], ...], BeforeValidator(_as_list)]
