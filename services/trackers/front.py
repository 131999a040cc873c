"""Front-end messages: bytes in, a checked message out, or a sentence that says what is wrong."""

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from usher.core.errors import BadMessage
from usher.core.messages import FrontMessage
from usher.core.servers import Servers

_EXAMPLE = '{"issue_id": "ABC-123", "status": "test"}'
_MOST = 3
_LONGEST = 16 * 1024


def read_front(body: bytes, servers: Servers) -> FrontMessage:
    """A front-end message whose project and status the settings know. Raises BadMessage."""
    if len(body) > _LONGEST:
        raise BadMessage(why=f"a message is at most {_LONGEST} bytes long; send {_EXAMPLE}")
    try:
        return FrontMessage.model_validate_json(body, context=servers)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False, include_input=False)[:_MOST]
        raise BadMessage(why="; ".join(map(_sentence, errors))) from None


def _sentence(error: ErrorDetails) -> str:
    field = ascii(".".join(str(part) for part in error["loc"])[:60])[1:-1]
    match error["type"]:
        case "json_invalid":
            return f"the body is not JSON ({error['ctx']['error']}); send {_EXAMPLE}"
        case "model_type":
            return f"the body should be an object: {_EXAMPLE}"
        case "missing":
            return f"{field} is missing; send {_EXAMPLE}"
        case "extra_forbidden":
            return f"{field} is unknown; known are issue_id and status"
        case "string_type":
            return f"{field} should be text"
        case "string_too_short":
            return f"{field} is empty"
        case _:
            text = error["msg"].removeprefix("Value error, ")
            return f"{field}: {text}" if field else text
