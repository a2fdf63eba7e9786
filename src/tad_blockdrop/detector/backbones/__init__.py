"""Transformers whose blocks can be dropped: one file per kind."""
