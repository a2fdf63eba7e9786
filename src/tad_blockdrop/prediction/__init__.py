"""Detections on any video: streamed, filtered, shown as a page or drawn into the video."""
