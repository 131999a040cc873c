"""Settings: one file, `usher.toml`, and the environment; read once, checked whole."""

from usher.settings.load import load, parse
from usher.settings.model import Settings

__all__ = ["Settings", "load", "parse"]
