"""Running models and comparing them: LiteRT and PyTorch side by side, tensor by tensor."""
