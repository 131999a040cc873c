"""Everything that is specific to Jira: webhooks, signatures, and the server that a move leads to."""
