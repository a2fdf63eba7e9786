"""The generated benchmark: untrimmed videos whose actions are motions."""
