"""What a job will take, before it starts."""
