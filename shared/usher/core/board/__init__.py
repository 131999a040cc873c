"""The board: the state of every server, folded from the journal."""
