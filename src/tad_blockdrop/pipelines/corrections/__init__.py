"""Annotations and the corrections of predictions, as one annotations file."""
