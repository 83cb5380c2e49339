"""What a model is made of: subgraphs, tensors, operators, buffers, signatures. Knows no framework."""
