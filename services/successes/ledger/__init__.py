"""The ledger: messages and deploys in a database, for questions about the past."""
