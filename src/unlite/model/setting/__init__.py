"""Setting a place of a model by its path, from text. Nothing is evaluated as code."""
