"""The broker: what is declared on it, our connections to it, and the broker that Usher runs when it was told of none."""
