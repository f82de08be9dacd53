"""
Other people's software that benches measure against, in environments of its own.

What is installed is pinned in ``requirements.txt`` and ``package.json``; ``install`` installs it,
``environment`` finds and starts it. The other modules are programs that run there, and know
nothing of inturn.
"""
