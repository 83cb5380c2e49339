"""Channels first: the axes of pictures in PyTorch's order throughout a module."""
