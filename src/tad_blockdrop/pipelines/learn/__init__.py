"""Learning again from annotations and corrections."""
