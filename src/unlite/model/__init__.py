"""Models: opened, looked into, changed and saved."""
