"""What a model comes wrapped in: bytes in, named spans out. Nothing here knows what a model is."""
