"""From features on the grid to a pyramid of maps: one file per kind."""
