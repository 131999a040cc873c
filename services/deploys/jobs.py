"""What a granted taking runs, and what came of it: values, and pure functions from and to events."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from usher.core.batches import Batch
from usher.core.events import DeployEnded, DeployInterrupted, DeployTaken, Outcome
from usher.core.servers import Server
from usher.settings.sections import DeploysSettings

ALWAYS_PASSED = ("PATH", "HOME", "LANG")


@dataclass(frozen=True, slots=True)
class Job:
    """What to run: a program and its arguments, its whole environment, and the file for its output."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path


class How(Enum):
    """How a command ended."""

    BY_ITSELF = "by itself"
    OUT_OF_TIME = "out of time"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended, why, and the end of its output; `more` says that there was more than that."""

    how: How
    reason: str
    exit_code: int | None = None
    output: str = ""
    more: bool = False
    log: Path | None = None


def base_environment(settings: DeploysSettings, environ: Mapping[str, str]) -> dict[str, str]:
    """What every command may see of this process's variables: never the broker's address."""
    return {name: environ[name] for name in (*ALWAYS_PASSED, *settings.pass_env) if name in environ}


def job_of(taken: DeployTaken, batch: Batch, server: Server, settings: DeploysSettings, base: Mapping[str, str]) -> Job:
    """The command of a granted taking, its environment and the file for its output."""
    environment = {
        **base,
        "USHER_DEPLOY": taken.deploy,
        "USHER_SERVER": server.name,
        "USHER_ISSUES": " ".join(str(issue) for issue in batch.issues),
        "USHER_ATTEMPT": str(batch.attempt),
        "USHER_FENCE": str(taken.fence),
    }
    path = Path(settings.logs) / server.name / f"{taken.deploy}.log"
    return Job(settings.template.render(server, batch.issues), environment, path)


def end_of(
    taken: DeployTaken, batch: Batch, job: Job, finished: Finished, *, rehearsed: bool, started_at: int, ended_at: int
) -> DeployEnded | DeployInterrupted:
    """How a taking ended: a result, or an interruption for a command that was cut. Times in ms."""
    if finished.how is How.CUT:
        return DeployInterrupted(
            deploy=taken.deploy, server=taken.server, by=taken.holder, reason=finished.reason, at=ended_at
        )
    by_itself = Outcome.PASSED if finished.exit_code == 0 else Outcome.FAILED
    return DeployEnded(
        deploy=taken.deploy,
        server=taken.server,
        outcome=Outcome.TIMED_OUT if finished.how is How.OUT_OF_TIME else by_itself,
        reason=finished.reason,
        exit_code=finished.exit_code,
        rehearsed=rehearsed,
        command=job.argv,
        standing=batch.standing,
        superseded=tuple(message.id for message in batch.superseded),
        started_at=started_at,
        ended_at=ended_at,
        output=finished.output,
        cut=finished.more,
        log=str(finished.log) if finished.log else None,
    )
