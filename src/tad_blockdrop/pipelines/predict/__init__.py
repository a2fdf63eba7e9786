"""Detections on any videos with a finished model."""
