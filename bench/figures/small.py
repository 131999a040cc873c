"""Small: what Usher uses while nothing happens, and how long its command line takes to start."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import stack
from harness import Bench, Column, Figure, Values

SERVICES = ("trackers", "deploys", "successes")
IDLE_SECONDS = 10.0
SETTLE_SECONDS = 3.0
STARTS = 5


def measure(bench: Bench) -> Iterator[tuple[str, Values]]:
    """Measure the three services idle, then the start of the command line."""
    with stack.broker(bench.folder) as broker, stack.services(SERVICES, bench.folder, broker, {}) as running:
        time.sleep(SETTLE_SECONDS)
        before = {name: program.seconds for name, program in running.items()}
        time.sleep(IDLE_SECONDS)
        for name, program in running.items():
            used = (program.seconds - before[name]) / IDLE_SECONDS * 1000
            yield f"Usher, {name} idle", {"memory": program.memory, "processor": used}
    usher = str(Path(sys.executable).with_name("usher"))
    yield "Usher, `usher --help`", {"start": _start(usher, "--help")}
    yield "Python, an empty program", {"start": _start(sys.executable, "-c", "")}
    if shutil.which("docker"):
        for name in SERVICES:
            if size := _image(f"usher-{name}"):
                yield f"Usher, image of {name}", {"image": size}


def _start(*command: str) -> float:
    """The fastest of several runs, in seconds: the least disturbed one."""
    times = []
    for _ in range(STARTS):
        began = time.perf_counter()
        subprocess.run(command, capture_output=True, check=True)
        times.append(time.perf_counter() - began)
    return min(times)


def _image(name: str) -> float:
    asked = subprocess.run(
        ["docker", "image", "inspect", "--format", "{{.Size}}", name], capture_output=True, text=True, check=False
    )
    return int(asked.stdout) / stack.MB if asked.returncode == 0 else 0.0


FIGURE = Figure(
    "small",
    "Small",
    "Each service with a private broker and the example's servers, while nothing happens; processor time per second. "
    "The command line: the fastest of five starts.",
    (
        Column("memory", "MB"),
        Column("processor", "ms/s", 1),
        Column("start", "s", 3),
        Column("image", "MB"),
    ),
    measure,
)
