"""The domain: pure functions and immutable values. Nothing here does I/O or imports the rest of Usher."""
