"""The broker: Usher's queues and exchanges, the connections, publishing, consuming, and reading the journal."""
