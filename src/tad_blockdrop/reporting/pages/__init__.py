"""Self-contained HTML pages: one base template, and one template per page."""
