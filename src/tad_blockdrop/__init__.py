"""Progressive Block Drop for temporal action detection, as a Kedro project."""

__version__ = "0.1.0"
