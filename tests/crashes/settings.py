"""Usher's settings in a run, with short spans, so that much happens in a few minutes of virtual time."""

from datetime import timedelta

from crashes.plan import SERVERS, Plan
from usher.settings import Settings

QUIET, CAP = 3000, 12_000
RETRIES_TOGETHER = 1000
"""A retry deploys everything that is pending, this long (ms) after it is due."""
"""The window (ms)."""

URL = "amqp://guest:guest@broker/"


def settings_of(plan: Plan) -> Settings:
    """The settings for a run of that plan."""
    projects: dict[str, list[str]] = {}
    for name in SERVERS[: plan.servers]:
        status, project = name.split(".")[:2]
        projects.setdefault(project, []).append(status)
    seconds = timedelta(seconds=1)
    return Settings.model_validate(
        {
            "broker": {"url": URL, "heartbeat": 4 * seconds},
            "projects": {project: {"statuses": statuses} for project, statuses in projects.items()},
            "deploys": {
                "command": ["deploy", "{server}", "{issues}"],
                "parallel": plan.parallel,
                "max_issues": plan.max_issues,
                "timeout": 60 * seconds,
                "grace": 2 * seconds,
                "silence": 3 * seconds,
                "logs": "/dev/shm/usher-simulated",
            },
            "window": {
                "quiet": timedelta(milliseconds=QUIET),
                "cap": timedelta(milliseconds=CAP),
                "floor": 0 * seconds,
            },
            "retries": {"delays": [15 * seconds, 40 * seconds], "soon": 2},
            "successes": {"sweep": 60 * seconds},
        }
    )
