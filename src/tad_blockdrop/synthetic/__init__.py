"""The embedded benchmark: generated untrimmed videos whose actions are motions."""
