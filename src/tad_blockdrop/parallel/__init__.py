"""Several processes at one piece of work: who they are, how they start, fail and end."""
