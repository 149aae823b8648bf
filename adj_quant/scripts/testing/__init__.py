"""For tests only: tiny networks, records and reports, and what kills runs of them."""
