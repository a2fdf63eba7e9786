"""The figures of reports, each a function from tables to a Plotly figure."""
