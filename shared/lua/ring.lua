-- ring: wake everyone who blocks on a bell.
--
-- KEYS 1 bell  STREAM  length 1
-- Returns the bell's new entry id
--
-- PERSIST changes nothing here; it is a write that is allowed while Redis is out of memory.

redis.call('PERSIST', KEYS[1])
return redis.call('XADD', KEYS[1], 'MAXLEN', '1', '*', 'r', '1')
