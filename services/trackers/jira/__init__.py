"""What `trackers` knows of Jira: webhooks, signatures, and where a move leads."""
