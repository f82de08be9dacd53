"""The command line, and the parent process of ``inturn up``."""
