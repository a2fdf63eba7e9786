"""Two finished experiments side by side."""
