"""Detections in a source that goes on, with a finished model."""
