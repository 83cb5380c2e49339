"""A converted module as source that people read."""
