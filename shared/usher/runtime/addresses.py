"""Hosts and ports, joined into addresses. An IPv6 address needs brackets before a port."""

_ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104 - for requests, not for listening


def join(host: str, port: int) -> str:
    """`beta.example.com:8001`, `127.0.0.1:8001` or `[::1]:8001`."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def local_url(host: str, port: int) -> str:
    """The URL at which this machine reaches a service that listens on a host, which may be all addresses."""
    return f"http://{join(_ANYWHERE.get(host, host), port)}"
