"""What is on disk: atomic writes, resumable states, the record of an experiment."""
