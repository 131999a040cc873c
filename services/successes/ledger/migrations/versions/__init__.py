"""One module for each revision. What has been released never changes."""
