"""Issues: `ABC-111` is number 111 of project ABC."""

import re
from dataclasses import dataclass
from sys import intern
from typing import Any

from pydantic import GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from usher.core.errors import BadIssue

_KEY = re.compile(r"([A-Z][A-Z0-9_]{0,254})-([1-9][0-9]{0,17})", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Issue:
    """An issue of the tracker. Issues sort by project, then by number.

    The grammar is Atlassian's: a project key (a capital letter, then capitals, digits and underscores, at most 255
    characters on Data Center), a dash, and a number without leading zeros. So a valid issue is a safe argument.
    """

    project: str
    number: int

    @classmethod
    def parse(cls, text: object) -> "Issue":
        """Parse an issue: `"ABC-111"`. Raises BadIssue."""
        if isinstance(text, cls):
            return text
        found = _KEY.fullmatch(text) if isinstance(text, str) else None
        if found is None:
            raise BadIssue(text=ascii(text)[:60])
        return cls(intern(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.project}-{self.number}"

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def check(value: object) -> Issue:
            try:
                return cls.parse(value)
            except BadIssue as bad:
                raise ValueError(str(bad)) from bad

        return core_schema.no_info_plain_validator_function(
            check,
            serialization=core_schema.to_string_ser_schema(),
            json_schema_input_schema=core_schema.str_schema(pattern=_KEY.pattern),
        )
