"""The uncompressed model: fine-tuned here, or taken from a checkpoint."""
