"""Steps on many machines: who asks signs an order and queues it in the ledger, any worker that may and can does it.

The ledger is the queue and the truth. Celery and Redis only wake workers and carry what is shown while a step runs, so
they may be slow, wiped or gone (docs/fleet.md, docs/decisions/012-the-ledger-is-the-queue.md).
"""
