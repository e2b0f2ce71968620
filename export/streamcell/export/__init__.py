"""Make one self-describing ONNX file of a trained network, and prove that it streams (needs the extra `export`)."""
