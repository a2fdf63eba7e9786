"""The detector: vision transformer, feature pyramid, head, post-processing."""
