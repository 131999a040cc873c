"""successes: takes the results of deploys, settles or parks what they covered, keeps the ledger, shows the board."""
