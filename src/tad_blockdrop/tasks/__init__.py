"""What a model is trained for: the contract of a task, and what tasks share."""
