"""Shared by the HTTP interfaces of all services."""
