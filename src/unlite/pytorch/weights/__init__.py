"""Weights between a model and other networks, both ways."""
