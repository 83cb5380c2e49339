"""How the file's kernels compute with integers."""
