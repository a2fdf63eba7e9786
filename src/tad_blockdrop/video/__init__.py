"""From video files and annotations to the windows a detector sees."""
