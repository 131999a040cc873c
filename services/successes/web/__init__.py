"""The HTTP API of `successes`."""
