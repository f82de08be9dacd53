"""
The consumer service: windows are cut, handed over, finished; replies are sent.

**Delivery.** A handler may see a window more than once (a crash, a retry), always with the same
id and the same members. A window is *finished* exactly once: acknowledgement, reply and release
of its user are one script, guarded by the token of the one attempt that counts.

**Order.** A user's windows are started one after the other, each when the one before is finished
or dead. Inside a partition the owner reads a stream in its order; a new owner claims everything
that was read before it reads anything new.

The way through the modules: ``worker`` wires one process. ``keeper`` and ``membership`` say what
is ours (``lease`` explains the rules), ``partition`` turns over what is ours, ``takeover`` rebuilds
it, ``reader`` reads, ``memory`` knows, ``window`` cuts, ``turns`` says whose window has the next
slot, ``dispatch`` starts it, ``attempt`` calls the handler (``recall``: with what was said before),
``retry`` decides, ``settle`` and ``finisher`` write it down, ``sender`` sends, ``sweep`` cleans up
behind us, ``reclaimer`` audits. ``store`` and ``outbox`` speak to Redis.
"""
