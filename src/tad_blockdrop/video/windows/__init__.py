"""What one forward pass sees: cutting, augmentation, loading."""
