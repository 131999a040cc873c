"""What only the broker's management API tells: policies that could lose messages or turns, and queues left behind."""

import re
from typing import Any
from urllib.parse import quote

import httpx
from yarl import URL

from usher.broker import topology
from usher.doctor.finding import Finding, fault, ok, unknown
from usher.local.choose import Broker
from usher.runtime.wording import count
from usher.settings import Settings

SECONDS = 5.0
DROPPING = ("expires", "max-length", "max-length-bytes", "message-ttl", "dead-letter-exchange", "delivery-limit")
"""Keys of a policy that can drop a queue or its messages."""

TAKING = ("consumer-timeout",)
"""Keys of a policy that can take a turn away in mid-deploy, shorter than any argument of the queue allows."""


def look_at_console(broker: Broker, settings: Settings) -> list[Finding]:
    """Policies on Usher's queues, and queues of former servers. Says so when no management console answers."""
    vhost = quote(URL(broker.url).path[1:] or "/", safe="")
    names = [queue.name for queue in topology.queues(settings.catalogue, settings.retries.every_delay)]
    try:
        with httpx.Client(base_url=broker.console, auth=broker.credentials, timeout=SECONDS, trust_env=False) as http:
            policies = [
                policy
                for kind in ("policies", "operator-policies")
                for policy in http.get(f"/api/{kind}/{vhost}").raise_for_status().json()
            ]
            asked = {"columns": "name,messages,consumers"}
            queues = http.get(f"/api/queues/{vhost}", params=asked).raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        return [
            unknown(
                "policies",
                "could not be checked, nor whether there are queues of former servers: the management console at "
                f"{broker.console} does not tell ({_reason(error)})",
                "look there for policies that match ^usher\\. and set expires, max-length, message-ttl or "
                "dead-lettering; the console's user needs the tag policymaker",
            )
        ]
    found = [_losing(policy, keys) for policy in policies if (keys := _keys(policy, names))]
    return [*(found or [ok("policies", "none can lose a message of Usher's")]), *_former(queues, names)]


def _former(queues: list[dict[str, Any]], names: list[str]) -> list[Finding]:
    """Queues of servers that the settings don't have. The broker counts a new queue's consumers after some seconds."""
    left = [
        f"{queue['name']} ({count(queue.get('messages', 0), 'message')})"
        for queue in queues
        if queue["name"].startswith(topology.server_queue(""))
        and queue["name"] not in names
        and queue.get("consumers") == 0
    ]
    if not left:
        return []
    return [
        fault(
            "former servers",
            f"nobody consumes {', '.join(left)}: no server of these settings is called so, but moves may go there",
            "what waits in them is deployed once the server has that name again in [servers] name; or send again "
            "(`usher send`) what is still wanted, and delete them in the management console",
        )
    ]


def _keys(policy: dict[str, Any], names: list[str]) -> list[str]:
    """The keys by which that policy could lose messages or turns of these queues."""
    if policy.get("apply-to") in ("exchanges", "classic_queues"):
        return []
    try:
        matches = any(re.search(policy["pattern"], name) for name in names)
    except re.error:
        # a pattern that only the broker understands: better asked about than overlooked
        matches = True
    return [key for key in policy["definition"] if key in DROPPING + TAKING] if matches else []


def _losing(policy: dict[str, Any], keys: list[str]) -> Finding:
    what = " and ".join(
        what for what, losing in (("messages", DROPPING), ("turns", TAKING)) if not set(keys).isdisjoint(losing)
    )
    return fault(
        "policies",
        f"policy {policy['name']} on {policy['pattern']} sets {', '.join(keys)}, which can lose {what} of Usher's",
        "delete it in the management console (Admin, Policies), or let its pattern leave usher.* out",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"it answers {error.response.status_code}"
    return "no answer" if isinstance(error, httpx.HTTPError) else "no JSON"
