"""The ledger: messages and deploys in a database, to answer questions about the past."""
