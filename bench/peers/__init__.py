"""
Other people's software that benches measure against, each in an environment of its own.

What is installed is pinned in ``requirements.txt`` and ``package.json``; ``bench.peers.install``
installs it. The other modules are programs that run there, and import nothing of ours.
"""
