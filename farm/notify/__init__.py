"""Telling people and programs what happened: webhooks and mail, from the ledger's outbox."""
