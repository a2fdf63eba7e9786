"""Looking at predictions and correcting them: the page, the server behind it, the corrections."""
