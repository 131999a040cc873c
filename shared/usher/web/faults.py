"""Errors as HTTP answers: a sentence in `detail`, and the status code of its kind."""

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from usher.core.errors import BadMessage, BrokerError, UnknownServer, UsherError

RETRY_SECONDS = 10
"""The `Retry-After` header of a 503."""

COMMON: dict[type[UsherError], int] = {UnknownServer: 404, BadMessage: 422, BrokerError: 503}


class Fault(BaseModel):
    """An error, in a sentence."""

    detail: str


def answer_faults(app: FastAPI, codes: Mapping[type[UsherError], int]) -> None:
    """Answer each kind of error in `codes` and COMMON with its status code and its sentence."""
    for kind, code in {**COMMON, **codes}.items():
        app.add_exception_handler(kind, _answering(code))
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(ClientDisconnect, _answer_disconnect)


def faults(*codes: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route for these status codes, so that the API documentation lists them."""
    return {code: {"model": Fault} for code in codes}


def _answering(code: int) -> Any:
    headers = {"Retry-After": str(RETRY_SECONDS)} if code == 503 else None

    async def answer(_: Request, fault: Exception) -> JSONResponse:
        return JSONResponse({"detail": str(fault)}, code, headers)

    return answer


async def _answer_invalid(_: Request, invalid: Exception) -> JSONResponse:
    assert isinstance(invalid, RequestValidationError)  # noqa: S101 - registered only for this type
    error = invalid.errors()[0]
    where = ".".join(str(part) for part in error["loc"] if part not in ("body", "query", "path"))
    says = str(error["msg"]).removeprefix("Value error, ")
    return JSONResponse({"detail": f"{where}: {says}" if where else says}, 422)


async def _answer_disconnect(_: Request, __: Exception) -> Response:
    """The client disconnected in the middle of the body."""
    return Response(status_code=400)
