"""Messages: published moves. `FrontMessage` is the HTTP request; `BackMessage` is what travels in the queue."""

import hashlib
import secrets
from dataclasses import replace
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, model_validator
from pydantic.dataclasses import dataclass

from usher.core.errors import BadMessage
from usher.core.issues import Issue
from usher.core.servers import Server, Servers
from usher.core.versions import STORED

Millis = Annotated[int, Field(ge=0, le=2**53)]
"""A time: milliseconds since 1970-01-01 UTC."""

MAX_NAME = 100
"""The maximum length of a person's name or id, in characters."""

Name = Annotated[str, Field(max_length=MAX_NAME)]
MessageId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
DeployId = Annotated[str, Field(pattern=r"^[0-9a-f]{12}$")]


class FrontMessage(BaseModel):
    """The body of the HTTP request that reports a move: `{"issue_id": "ABC-123", "status": "test"}`.

    `by` may say who moved the issue. Validate the body with `FrontMessage.model_validate(data, context=servers)`: the
    project and the status must be known.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    issue_id: Issue
    status: Annotated[str, Field(min_length=1, max_length=255)]
    by: Name | None = None

    @model_validator(mode="after")
    def _is_known(self, info: ValidationInfo) -> "FrontMessage":
        if self.by is not None and not self.by.isprintable():
            raise ValueError("by should be printable")
        if isinstance(info.context, Servers):
            try:
                info.context.find(self.issue_id.project, self.status)
            except BadMessage as bad:
                raise ValueError(str(bad)) from bad
        return self


@dataclass(config=STORED, frozen=True, slots=True, kw_only=True)
class BackMessage:
    """A message in the queue: complete, immutable, versioned. Unknown fields of later versions are ignored.

    `queued_at` opens the window, `attempt` counts from 1, and `source` is the API that accepted the move. `moved_by`
    is the name of the person who moved the issue, or the address that reported it. `moved_by_id` is the tracker's id of
    that person.

    A retry is a separate message: `origin` is the id of its first attempt, `first_queued_at` is when that was queued,
    and `postponed` counts how often it was postponed without using up an attempt.

    It has slots, because there can be many: a pending message takes 0.6 KB instead of 1.8 KB.
    """

    needs: ClassVar[int] = 1

    v: Literal[1] = 1
    kind: Literal["message"] = "message"
    id: MessageId
    issue: Issue
    status: str
    server: str
    source: Literal["jira", "api"]
    queued_at: Millis
    moved_at: Millis | None = None
    attempt: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    origin: MessageId | None = None
    first_queued_at: Millis | None = None
    postponed: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    moved_by: Name | None = None
    moved_by_id: Name | None = None

    @property
    def move(self) -> MessageId:
        """The id of the first attempt: the same for all attempts of one move."""
        return self.origin or self.id

    @property
    def place(self) -> str:
        """The `status.project` of its server, which is also its routing key."""
        return f"{self.status}.{self.issue.project.lower()}"

    @property
    def age(self) -> Millis:
        """When the move was first published. Of two messages of an issue, the one with the larger value is newer."""
        return self.queued_at if self.first_queued_at is None else self.first_queued_at

    def again(self, at: Millis, *, deploy: str = "", postponed: bool = False) -> "BackMessage":
        """The message of the next attempt, due at `at`. If it is `postponed`, the attempt does not count.

        Calls with the same `deploy` return the same id, so publishing the message twice is harmless.
        """
        attempt, postponements = (self.attempt, self.postponed + 1) if postponed else (self.attempt + 1, self.postponed)
        return replace(
            self,
            id=derived_id(self.move, str(attempt), str(postponements), deploy),
            queued_at=at,
            attempt=attempt,
            origin=self.move,
            first_queued_at=self.age,
            postponed=postponements,
        )

    @classmethod
    def of(
        cls,
        issue: Issue,
        server: Server,
        *,
        source: Literal["jira", "api"],
        now: Millis,
        identity: tuple[str, ...] | None = None,
        moved_at: Millis | None = None,
        moved_by: str | None = None,
        moved_by_id: str | None = None,
    ) -> "BackMessage":
        """A message of one issue for one server, published at `now`.

        `identity` identifies the move, so that repeated reports of it have the same message id. Without it, every
        report is a new message.
        """
        return cls(
            id=message_id(identity, server) if identity else secrets.token_hex(16),
            issue=issue,
            status=server.status,
            server=server.name,
            source=source,
            queued_at=now,
            moved_at=moved_at,
            moved_by=moved_by,
            moved_by_id=moved_by_id,
        )


def message_id(identity: tuple[str, ...], server: Server) -> str:
    """The message id of a move. The same move and server always have the same 32 hex digits."""
    return derived_id(*identity, server.routing_key, "1")


def derived_id(*parts: str) -> MessageId:
    """An id that is always the same for the same parts: 32 hex digits."""
    return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]
