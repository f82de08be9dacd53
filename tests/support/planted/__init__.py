"""
Bugs planted into the real services, to see that the ledger catches them.

``python -m tests.support.planted <bug> <service>`` plants and then runs the service's own main.
Each bug is one of RELIABILITY.md's list. A service with a bug has the same points armed as
``tests.support.probed``, and one more, ``before_read``.
"""
