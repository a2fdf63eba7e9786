"""Progressive Block Drop: scoring, dropping, alignment losses, LoRA."""
