"""The deploys service: it takes turns, keeps windows, and runs one command at a time per server."""
