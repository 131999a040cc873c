"""What the HTTP interfaces of the services share."""
