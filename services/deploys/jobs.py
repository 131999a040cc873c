"""What a granted taking runs, and how it ended: values, and pure functions that map them from and to events."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from usher.core.batches import Batch
from usher.core.events import MAX_PIDS, DeployEnded, DeployInterrupted, DeployStuck, DeployTaken, Outcome
from usher.core.servers import Server
from usher.settings import Settings
from usher.settings.load import passed_on
from usher.settings.sections import DeploysSettings

ALWAYS_PASSED = ("PATH", "HOME", "LANG")


@dataclass(frozen=True, slots=True)
class Job:
    """What to run for a deploy: a program and its arguments, its complete environment, and the file for its output."""

    deploy: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    log: Path


class How(Enum):
    """How a command ended: it exited (or could not be started), it timed out, or Usher killed it. Or it is stuck: it
    has not ended, because it cannot be killed."""

    EXITED = "exited"
    TIMED_OUT = "timed out"
    KILLED = "killed"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended, why, and the end of its output. `truncated` means that there was more output.

    `pids` are the processes of a stuck command, and `user` is who they belong to.
    """

    how: How
    reason: str
    exit_code: int | None = None
    output: str = ""
    truncated: bool = False
    log: Path | None = None
    pids: tuple[int, ...] = ()
    user: str = ""


NOT_STARTED = Finished(How.KILLED, "it was not started")
HELD = Finished(How.KILLED, "it was not started: a hold had begun")
STOPPED = Finished(How.KILLED, "Usher stopped it before it had ended")


def base_environment(settings: Settings, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of this process that every command may see.

    With them, a command that uses Usher finds the settings of this process. Secrets are among them only if `pass_env`
    names them.
    """
    named = (*ALWAYS_PASSED, *settings.deploys.pass_env)
    return {**passed_on(settings, environ), **{name: environ[name] for name in named if name in environ}}


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
    return Job(taken.deploy, settings.template.render(server, batch.issues), environment, path)


def end_of(
    taken: DeployTaken, batch: Batch, job: Job, finished: Finished, *, rehearsed: bool, started_at: int, ended_at: int
) -> DeployEnded | DeployInterrupted | DeployStuck:
    """How a taking ended, as an event: a result, or an interruption if the command was killed. Or that its command is
    stuck. Times in ms."""
    if finished.how is How.STUCK:
        return DeployStuck(
            deploy=taken.deploy,
            server=taken.server,
            by=taken.holder,
            reason=finished.reason,
            pids=finished.pids[:MAX_PIDS],
            user=finished.user,
            at=ended_at,
        )
    if finished.how is How.KILLED:
        return DeployInterrupted(
            deploy=taken.deploy, server=taken.server, by=taken.holder, reason=finished.reason, at=ended_at
        )
    exited = Outcome.PASSED if finished.exit_code == 0 else Outcome.FAILED
    return DeployEnded(
        deploy=taken.deploy,
        server=taken.server,
        outcome=Outcome.TIMED_OUT if finished.how is How.TIMED_OUT else exited,
        reason=finished.reason,
        exit_code=finished.exit_code,
        rehearsed=rehearsed,
        command=job.argv,
        standing=batch.standing,
        superseded=tuple(message.id for message in batch.superseded),
        started_at=started_at,
        ended_at=ended_at,
        output=finished.output,
        truncated=finished.truncated,
        log=str(finished.log) if finished.log else None,
    )
