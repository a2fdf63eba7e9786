"""From maps to class scores and segments: one file per kind."""
