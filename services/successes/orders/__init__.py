"""Accepts orders, and carries each of them out once."""
