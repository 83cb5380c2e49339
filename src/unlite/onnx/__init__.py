"""ONNX: a converted module through PyTorch's exporter, with the file's tensor names, quantization and metadata."""
