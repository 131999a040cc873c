"""What the figures were measured on."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import psutil

GIB = 1024**3


def facts() -> dict[str, str]:
    """The machine's processor, memory and programs, by name."""
    return {
        "processor": f"{_processor()}, {len(os.sched_getaffinity(0))} cores",
        "memory": f"{psutil.virtual_memory().total / GIB:.0f} GiB",
        "system": f"{_system()}, Linux {platform.release().partition('-')[0]}",
        "Python": platform.python_version(),
        "RabbitMQ": _rabbitmq(),
    }


def _processor() -> str:
    names = (line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines())
    return next((name for name in names if "CPU" in name or "Processor" in name), platform.machine())


def _system() -> str:
    lines = Path("/etc/os-release").read_text().splitlines()
    return next((line.partition("=")[2].strip('"') for line in lines if line.startswith("PRETTY_NAME=")), "Linux")


def _rabbitmq() -> str:
    if not (dpkg := shutil.which("dpkg-query")):
        return "unknown"
    asked = subprocess.run([dpkg, "-W", "-f", "${Version}", "rabbitmq-server"], capture_output=True, text=True)
    return asked.stdout.partition("-")[0] or "unknown"
