"""Average precision, intervals, operating points, cost."""
