"""The trackers service: the door that Jira's webhooks and front-end messages come in by."""
