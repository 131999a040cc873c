"""The trackers service: it accepts Jira's webhooks and front-end messages."""
