"""A finished model as files for other programs."""
