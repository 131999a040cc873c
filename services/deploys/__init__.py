"""The deploys service: takes turns, keeps windows, runs one command at a time per server."""
