"""Everything about each operator's meaning, in PyTorch."""
