"""Average precision, intervals, operating points, error analysis, cost."""
