"""The HTTP APIs of the services: their types, and the Python client."""
