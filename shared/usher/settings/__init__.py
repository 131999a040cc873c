"""Settings: one file, `usher.toml`, and the environment. They are read once and checked completely."""

from usher.settings.load import load, parse
from usher.settings.model import Settings

__all__ = ["Settings", "load", "parse"]
