"""Front-end messages: turns a request body into a checked message, or into a sentence that says what is wrong."""

from codecs import BOM_UTF8

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from usher.core.errors import BadMessage
from usher.core.messages import FrontMessage
from usher.core.servers import Servers

_EXAMPLE = '{"issue_id": "ABC-123", "status": "test"}'
_MAX_ERRORS = 3
_MAX_BYTES = 16 * 1024


def read_front(body: bytes, servers: Servers) -> FrontMessage:
    """Parse a front-end message; its project and status must be in the settings. Raises BadMessage."""
    if len(body) > _MAX_BYTES:
        raise BadMessage(why=f"the body is longer than {_MAX_BYTES} bytes; send {_EXAMPLE}")
    try:
        # a file that a Windows program wrote begins with a byte order mark
        return FrontMessage.model_validate_json(body.removeprefix(BOM_UTF8), context=servers)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_input=False)[:_MAX_ERRORS]
        raise BadMessage(why="; ".join(map(_sentence, errors))) from None


def _sentence(error: ErrorDetails) -> str:
    field = ascii(".".join(str(part) for part in error["loc"])[:60])[1:-1]
    match error["type"]:
        case "json_invalid":
            return f"the body is not JSON ({error['ctx']['error']}); send {_EXAMPLE}"
        case "model_type":
            return f"the body must be an object; send {_EXAMPLE}"
        case "missing":
            return f"{field} is missing; send {_EXAMPLE}"
        case "extra_forbidden":
            return f"{field}: unknown field; known fields are issue_id, status and by"
        case "string_type":
            return f"{field} must be a string"
        case "string_too_long":
            return f"{field} is longer than {error['ctx']['max_length']} characters"
        case "string_too_short":
            return f"{field} is empty"
        case _:
            text = error["msg"].removeprefix("Value error, ")
            return f"{field}: {text}" if field else text
