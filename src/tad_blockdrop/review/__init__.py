"""Looking at predictions and correcting them, and what a model learns from the corrections."""
