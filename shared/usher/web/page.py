"""The page at `/` of each service: what it is, whether it is ready, and where to look. It loads nothing."""

import base64
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape

from fastapi.responses import HTMLResponse

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6b7e; --line: #dfe4ea; --paper: #ffffff; --ground: #f4f6f8;
  --link: #0b62c4; --good: #1a7f4b; --bad: #b3411e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #98a5b7; --line: #2c3644; --paper: #171e28;
  --ground: #0f141b; --link: #74b0f4; --good: #5cc98d; --bad: #f08a63; } }
* { box-sizing: border-box; }
body { margin: 0; padding: 5vh 1.25rem 2rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 40rem; margin: 0 auto; padding: 2rem 2.25rem; background: var(--paper);
  border: 1px solid var(--line); border-radius: 0.75rem; }
h1 { margin: 0; font-size: 1.5rem; line-height: 1.2; }
h2 { margin: 1.9rem 0 0.4rem; font-size: 0.8rem; font-weight: 600; letter-spacing: 0.06em; text-transform: uppercase;
  color: var(--soft); }
p { margin: 0.6rem 0 0; }
.state { display: flex; gap: 0.55rem; align-items: baseline; margin-top: 1.1rem; }
.state::before { content: ""; flex: none; width: 0.65rem; height: 0.65rem; border-radius: 50%;
  background: var(--good); }
.state.bad::before { background: var(--bad); }
dl { margin: 0; display: grid; grid-template-columns: minmax(15.5rem, max-content) 1fr; }
dt, dd { margin: 0; padding: 0.5rem 0; border-top: 1px solid var(--line); }
dt { padding-right: 1.5rem; font: 0.9rem/1.72 ui-monospace, "DejaVu Sans Mono", monospace; }
dt:first-of-type, dt:first-of-type + dd { border-top: 0; }
dd { color: var(--soft); }
a { color: var(--link); text-underline-offset: 0.2em; }
footer { margin-top: 1.9rem; color: var(--soft); font-size: 0.85rem; }
@media (max-width: 34rem) { main { padding: 1.5rem; } dl { grid-template-columns: 1fr; }
  dd { border: 0; padding-top: 0; } dt { padding-bottom: 0; } }
"""

_HASH = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy: the page may do nothing but show itself."""

PLACES = (
    ("/health", "is it running, and since when?"),
    ("/ready", "can it do its work, and if not, why?"),
    ("/docs", "every request that it answers"),
)


@dataclass(frozen=True)
class About:
    """What the page says: the service's name, what it does, and more places and commands, each with its purpose."""

    service: str
    does: str
    places: tuple[tuple[str, str], ...] = ()
    commands: tuple[tuple[str, str], ...] = ()


def show(about: About, version: str, unready: str | None) -> HTMLResponse:
    """The page. `unready` says why the service cannot do its work now; None if it can."""
    state = f'<p class="state bad">Not ready: {escape(unready)}</p>' if unready else '<p class="state">Ready</p>'
    places = _list((f'<a href="{escape(path)}">{escape(path)}</a>', says) for path, says in (*about.places, *PLACES))
    commands = _list((escape(command), says) for command, says in about.commands)
    text = f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<link rel="icon" href="data:,">
<title>Usher: {escape(about.service)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
<h1>Usher: {escape(about.service)}</h1>
<p>{escape(about.does)}</p>
{state}
<h2>Here</h2>
{places}
<h2>On the command line</h2>
{commands}
<footer>Usher {escape(version)}</footer>
</main>
</body>
</html>
"""
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-store"})


def _list(rows: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"\n<dt>{term}</dt><dd>{escape(says)}</dd>" for term, says in rows) + "\n</dl>"
