"""What every program needs: a stop signal, a clock, logs, a listening socket."""
