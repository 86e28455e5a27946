"""What a bump needs, asked before anything runs: catalogs before and after it, and the facts that decide."""
