"""Public weights in: a file becomes a checkpoint, with a report on every tensor."""
