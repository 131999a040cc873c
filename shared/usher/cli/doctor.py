"""`usher doctor`: checks everything, and says how to fix each fault."""

import typer

from usher.cli.options import Json
from usher.cli.screen import console, print_json
from usher.runtime.wording import count

MARKS = {
    "fault": ("FAULT", "bold red"),
    "warning": ("WARN", "bold yellow"),
    "unknown": ("?", "yellow"),
    "ok": ("ok", "green"),
}
"""What is printed before each finding, in the order of their importance."""


def doctor(as_json: Json = False) -> None:
    """Check settings, command, broker, queues, policies and services; say how to fix each fault.

    The exit code is 1 if there is a fault. The doctor changes nothing. In a container, it checks only the
    service that is installed there.

    \b
    Examples:
      usher doctor
      usher doctor --json
    """
    from usher.doctor import Verdict, examine

    findings = examine()
    faults = [finding for finding in findings if finding.verdict is Verdict.FAULT]
    if as_json:
        print_json({"ok": not faults, "findings": [finding._asdict() for finding in findings]})
        raise typer.Exit(1 if faults else 0)
    screen, order = console(), list(MARKS)
    for finding in sorted(findings, key=lambda finding: order.index(finding.verdict)):
        mark, style = MARKS[finding.verdict]
        screen.print(f"{mark:>5} ", style=style, end=" ")
        screen.print(f"{finding.about}: {finding.says}", soft_wrap=True)
        if finding.do:
            screen.print(f"         → {finding.do}", soft_wrap=True)
    warnings = sum(finding.verdict is Verdict.WARNING for finding in findings)
    found = [count(len(faults), "fault") if faults else "No faults found"]
    found += [count(warnings, "warning")] if warnings else []
    screen.print(f"\n{', '.join(found)}.", style="bold")
    raise typer.Exit(1 if faults else 0)
