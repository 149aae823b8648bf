"""The report of a finished experiment: table, pictures, page."""
