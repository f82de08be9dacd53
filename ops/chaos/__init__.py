"""
The fault bench: inturn as processes under load and faults, judged from outside.

What stands here imports nothing of what it judges. Evidence is kept outside Redis: what was sent
and answered (``load``), what the handler was called with and which replies arrived
(``endpoint``), what was done to whom (``ledger``). The stream's own history is read from Redis's
append-only file (``history``). ``checks`` compares; ``cutter`` is a second cut of the windows,
naive on purpose. ``bench`` wires it, ``faults`` does harm, ``run`` is ``inturn chaos``.
"""
