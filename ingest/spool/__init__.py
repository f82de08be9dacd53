"""
The spool: messages on this machine's disk, for as long as Redis takes none.

``record`` is how one message stands in a file, ``segment`` one file, ``folder`` a process's files
and their lock, ``writer`` the thread that shares each sync among all who wait, ``spool`` all of
that for one process, and ``replayer`` the way into Redis. ``ingest.outage`` decides when.

What is kept: a message is answered 2xx after the sync of its record. After a crash of the process
or of the machine, whoever adopts the folder replays every record that stands whole; dedupe makes
one entry of those that Redis has already (for ``dedupe_ms``). What cannot be read is counted,
logged and kept as it was. Files hold messages, phone numbers and all: they are for this user
alone (0600 in 0700), and neither names nor logs nor metrics say anything of what is in them.
"""
