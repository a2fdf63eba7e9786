"""From raw videos and annotations to a checked dataset of proxies and tables."""
