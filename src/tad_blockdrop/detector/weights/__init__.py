"""Public weight layouts in and out: VideoMAE and DINOv2 backbones, OpenTAD detectors."""
