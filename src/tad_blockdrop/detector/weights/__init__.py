"""Public weight layouts in and out: VideoMAE backbones and OpenTAD detectors."""
