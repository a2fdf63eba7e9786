"""Detections in a source that goes on: samples as they come, detections once they are final."""
