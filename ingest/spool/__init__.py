"""
The spool: messages on this machine's disk, for as long as Redis takes none.

``record`` is how one message stands in a file, ``segment`` one file, ``folder`` a process's files
and their lock, ``writer`` the thread that shares each sync among all who wait, ``spool`` all of
that for one process, and ``replayer`` the way into Redis. ``ingest.outage`` decides when.

Append-only files and not SQLite, for what they do with damage: every record that stands whole is
read, wherever a bit was flipped or the file was cut off, while a database with one bad page may
refuse all of it; and a failed sync has a file to be cut back and left. They are faster, too: in
the same frame, 1, 64 and 512 at once, 3,257, 55,478 and 86,420 messages/s against SQLite's
(WAL, synchronous=FULL) 3,149, 42,431 and 64,889 and a bare shared sync's 3,786, 47,876 and 94,089;
the spool as a whole, with its limits and metrics, 3,242, 54,559 and 74,303. It replays 18,453 a
second (`make bench BENCH=spool`; 2 CPUs, shared with others; figures vary by a third).

What is kept: a message is answered 2xx after the sync of its record. After a crash of the process
or of the machine, whoever adopts the folder replays every record that stands whole; dedupe makes
one entry of those that Redis has already (for ``dedupe_ms``). What cannot be read is counted,
logged and kept as it was. Files hold messages, phone numbers and all: they are for this user
alone (0600 in 0700), and neither names nor logs nor metrics say anything of what is in them.
"""
