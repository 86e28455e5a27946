"""The farm in numbers, for Prometheus: computed from the ledger when somebody asks."""
