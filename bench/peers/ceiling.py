"""The least that a web framework has to do: parse the body, and answer."""

from fastapi import FastAPI, Request

app = FastAPI()


@app.post("/")
async def webhook(request: Request) -> dict[str, str]:
    """Answer with the issue."""
    return {"issue": (await request.json())["issue"]["key"]}
