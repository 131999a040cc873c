"""The bodies of requests that give orders. They are validated strictly."""

import secrets
from functools import partial
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints, model_validator

from usher.core.issues import Issue
from usher.core.orders import MAX_BY, MAX_ISSUES, MAX_REASON, OrderId


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("use printable characters only")
    return text


Name = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_BY), AfterValidator(_printable)]
Reason = Annotated[str, StringConstraints(strip_whitespace=True, max_length=MAX_REASON), AfterValidator(_printable)]
Issues = Annotated[tuple[Issue, ...], Field(max_length=MAX_ISSUES)]


class OrderBody(BaseModel):
    """What all orders have in common.

    The client makes the `id` (32 hexadecimal digits), so that it can safely send the order again. `by` is who gives the
    order (default: the client's address).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: OrderId = Field(default_factory=partial(secrets.token_hex, 16))
    by: Name = ""
    reason: Reason = ""


class WithdrawBody(OrderBody):
    """Withdraw these issues, on that server or on all."""

    server: str | None = None
    issues: Annotated[Issues, Field(min_length=1)]


class DropBody(OrderBody):
    """Drop parked messages of a server, of these issues, or of both. To name neither, `all` must be true."""

    server: str | None = None
    issues: Issues = ()
    all: bool = False

    @model_validator(mode="after")
    def _is_clear(self) -> Self:
        if fault := self._fault():
            raise ValueError(fault)
        return self

    def _fault(self) -> str | None:
        return None if self.server or self.issues or self.all else 'name a server or issues, or set "all": true'


class RetryBody(DropBody):
    """Retry parked messages, as for a drop; or the messages that `deploy` covered and that have not passed since."""

    deploy: str | None = None

    def _fault(self) -> str | None:
        if not self.deploy:
            return super()._fault()
        return "name either a deploy, or a server, issues or all" if super()._fault() is None else None


class AbortBody(OrderBody):
    """A deploy that could not be killed. `gone` must be true: the command has ended."""

    deploy: str
    gone: Literal[True]


class HoldBody(OrderBody):
    """Hold the servers in the `scope`: a server's name, a status, a project, a status of a project (`beta of ABC`), a
    pattern over `status.project` (`beta.*`), or `*.*` for all servers.

    It ends at `until`, if that is given, or when somebody releases it. A `warning` stops nothing.
    """

    reason: Annotated[Reason, Field(min_length=1)]
    scope: Annotated[str, Field(max_length=200)]
    until: AwareDatetime | None = None
    warning: bool = False


class ReleaseBody(OrderBody):
    """Release the `hold` with that id, or all holds with exactly this `scope`."""

    hold: Annotated[str, Field(pattern=r"^[0-9a-f]{6,32}$")] | None = None
    scope: Annotated[str, Field(max_length=200)] | None = None

    @model_validator(mode="after")
    def _is_clear(self) -> Self:
        if (self.hold is None) == (self.scope is None):
            raise ValueError("name either a hold or a scope")
        return self
