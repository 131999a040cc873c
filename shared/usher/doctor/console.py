"""Checks over the broker's management API: policies that could lose messages or turns, and leftover queues."""

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
"""Policy keys that can drop a queue or its messages."""

TAKING = ("consumer-timeout",)
"""Policy keys that can revoke a turn during a deploy, because they override the queue's argument."""


def look_at_console(broker: Broker, settings: Settings) -> list[Finding]:
    """Check the policies on Usher's queues, and look for queues of former servers, if the management API answers."""
    vhost = quote(URL(broker.url).path[1:] or "/", safe="")
    names = [queue.name for queue in topology.queues(settings.catalogue, settings.retries.every_delay)]
    try:
        with httpx.Client(base_url=broker.console, auth=broker.credentials, timeout=SECONDS, trust_env=False) as http:
            policies = [
                policy
                for kind in ("policies", "operator-policies")
                for policy in http.get(f"/api/{kind}/{vhost}").raise_for_status().json()
            ]
            columns = {"columns": "name,messages,consumers"}
            queues = http.get(f"/api/queues/{vhost}", params=columns).raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        return [
            unknown(
                "policies",
                "could not check policies and queues of former servers: the management console at "
                f"{broker.console} did not answer ({_reason(error)})",
                "look there for policies that match ^usher\\. and set expires, max-length, message-ttl or "
                "dead-lettering; this check needs a console user with the tag policymaker",
            )
        ]
    found = [_losing(policy, keys) for policy in policies if (keys := _keys(policy, names))]
    return [*(found or [ok("policies", "none can lose Usher's messages")]), *_former(queues, names)]


def _former(queues: list[dict[str, Any]], names: list[str]) -> list[Finding]:
    """Queues of servers that are not in the settings. The broker's counts are a few seconds old."""
    leftover = {
        queue["name"]: queue.get("messages", 0)
        for queue in queues
        if queue["name"].startswith(topology.server_queue(""))
        and queue["name"] not in names
        and queue.get("consumers") == 0
    }
    full = [f"{name} ({count(messages, 'message')})" for name, messages in leftover.items() if messages]
    empty = [name for name, messages in leftover.items() if not messages]
    found = []
    if full:
        says = f"nobody consumes {', '.join(full)}: no server in the current settings has that name"
        do = (
            "to deploy their messages, restore the old name in [servers] name; or send what is still wanted again "
            "(`usher send`), and delete these queues in the management console"
        )
        found.append(fault("former servers", says, do))
    if empty:
        says = f"{', '.join(empty)}: no server in the current settings has these names, which is harmless"
        found.append(ok("empty queues", f"{says}. To tidy up, delete them in the management console (Queues)"))
    return found


def _keys(policy: dict[str, Any], names: list[str]) -> list[str]:
    """The keys of a policy that could lose messages or turns of these queues."""
    if policy.get("apply-to") in ("exchanges", "classic_queues"):
        return []
    try:
        matches = any(re.search(policy["pattern"], name) for name in names)
    except re.error:
        # a pattern that only the broker understands: report it rather than overlook it
        matches = True
    return [key for key in policy["definition"] if key in DROPPING + TAKING] if matches else []


def _losing(policy: dict[str, Any], keys: list[str]) -> Finding:
    what = " and ".join(
        what for what, losing in (("messages", DROPPING), ("turns", TAKING)) if not set(keys).isdisjoint(losing)
    )
    return fault(
        "policies",
        f"policy {policy['name']} on {policy['pattern']} sets {', '.join(keys)}, which can lose Usher's {what}",
        "delete it in the management console (Admin, Policies), or exclude usher.* from its pattern",
    )


def _reason(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return "not JSON" if isinstance(error, ValueError) else "no answer"
