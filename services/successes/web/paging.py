"""Query parameters of lists: a page, and filters."""

from typing import Annotated

from fastapi import Depends, Query
from pydantic import AfterValidator

from successes.ledger.queries import PageRequest
from usher.core.errors import BadIssue
from usher.core.issues import Issue

MOST_PAGES = 1_000_000_000


def _cut(
    page: Annotated[int, Query(ge=1, le=MOST_PAGES)] = 1, per_page: Annotated[int, Query(ge=1, le=500)] = 50
) -> PageRequest:
    return PageRequest(page, per_page)


def _issue(text: str) -> str:
    try:
        return str(Issue.parse(text.strip().upper()))
    except BadIssue as bad:
        raise ValueError(str(bad)) from None


Paged = Annotated[PageRequest, Depends(_cut)]
Key = Annotated[str | None, AfterValidator(lambda text: text and text.strip().lower()), Query()]
IssueKey = Annotated[str | None, AfterValidator(lambda text: text and _issue(text)), Query()]
