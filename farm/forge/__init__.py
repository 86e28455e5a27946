"""Branches of the catalog's repository, and pull requests for them."""
