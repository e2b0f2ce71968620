"""Make a stateful ONNX file that someone else made self-describing, and prove that it still computes the same.

The way of a file: `source` reads it, `card` what its user knows, `states` pairs what comes back in with what goes out,
`original` runs it as its author meant, `house` puts the house's inputs and outputs around it, `fold` turns what is
known into constants, and `adopter` proves that the new file gives what the old one gave.
"""
