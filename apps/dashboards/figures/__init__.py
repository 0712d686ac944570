"""How series become pictures: Plotly figures as plain dicts, the tables beside them, sparklines."""
