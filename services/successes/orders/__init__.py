"""Orders: a person's instructions, carried out once."""
