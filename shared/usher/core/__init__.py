"""The words and the rules: pure functions and frozen values. Nothing here does I/O or imports the rest of Usher."""
