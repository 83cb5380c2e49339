"""Writing a model: copy, patch or rewrite. Knows nothing of other formats than TFLite."""
