"""Detections in any video or live source, as tables, files of other tools, and drawn copies."""
