"""Our own types of catalog entries: tables, checkpoints, videos, annotations, growing lines."""
