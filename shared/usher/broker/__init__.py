"""The broker: what is declared on it, our connections to it, and the one that Usher runs when it was told of none."""
