"""The broker and the processes that `usher up` runs on this machine."""
