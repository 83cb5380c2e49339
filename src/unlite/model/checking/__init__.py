"""What is wrong with a model. Changes nothing."""
