"""Models that the loop is compared with, and what every model costs."""
