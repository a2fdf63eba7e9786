"""Video files: found, probed, decoded, made into proxies, in processes that can be killed."""
