"""Before a long job: is everything there, does it fit, and how long will it take."""
