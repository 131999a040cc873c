"""What other machines can do to this Usher, because a service listens on more than the loopback address."""

from usher.runtime.listening import is_loopback
from usher.settings import Settings
from usher.settings.sections import WebSettings

UNSIGNED = "start deploys, because no [jira] secret is set. Set USHER_JIRA__SECRET to the secret of Jira's webhook"
MESSAGES = "start deploys with `POST /messages`, which needs no signature. Let a proxy publish /webhooks/jira alone"
ORDERS = "read the output of deploys, and withdraw, retry and drop issues, because there is no login"


def exposures(settings: Settings) -> list[str]:
    """A warning for each service that other machines can reach, and that does not check who they are."""
    found = (
        ("trackers", settings.trackers, MESSAGES if settings.jira.secret else UNSIGNED),
        ("successes", settings.successes, ORDERS),
    )
    return [_warning(service, web, what) for service, web, what in found if not is_loopback(web.host)]


def _warning(service: str, web: WebSettings, what: str) -> str:
    host = f"[{web.host}]" if ":" in web.host else web.host
    local = f'With [{service}] host = "127.0.0.1", only this machine can reach it.'
    return f"WARNING: anybody who can reach {host}:{web.port} ({service}) can {what}. {local}"
