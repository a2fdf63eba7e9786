"""Video files: found, probed, decoded, made into proxies; work on them can be killed."""
