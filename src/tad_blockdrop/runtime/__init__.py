"""Where and how work runs: device, precision, threads, progress, stop signals, log lines."""
