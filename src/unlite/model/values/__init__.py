"""Constants: types, packing, sparsity, and what is stored for given numbers. Knows nothing of files."""
