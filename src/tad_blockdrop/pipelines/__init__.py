"""One package per pipeline: thin typed nodes and the graph that joins them."""
