"""The uncompressed model: initialised and fine-tuned."""
