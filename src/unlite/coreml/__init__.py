"""Core ML: models converted to ML programs, and saved ML programs evaluated on any machine."""
