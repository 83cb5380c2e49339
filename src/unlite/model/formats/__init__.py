"""A model as JSON, as a C array, and its constants as weight files."""
