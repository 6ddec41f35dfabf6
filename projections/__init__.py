"""Read models: tables that follow from the events, the queries over them, and what keeps and rebuilds them."""
