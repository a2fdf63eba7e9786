"""Tables, plots and one HTML file that show what the compression did."""
