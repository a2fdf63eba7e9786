"""Detections, mean average precision, cost."""
