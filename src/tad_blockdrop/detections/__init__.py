"""The task of temporal action detection: targets, losses, post-processing, evaluation."""
