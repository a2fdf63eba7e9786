"""Progressive Block Drop: ranking, dropping, repair, alignment, LoRA, when the loop ends."""
