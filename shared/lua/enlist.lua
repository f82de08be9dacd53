-- enlist: put a worker into the list of known workers.
--
-- KEYS 1 workers  SET  worker ids, live or not
-- ARGV 1 worker id
-- Returns 1 NEW | 0 KNOWN
--
-- PERSIST changes nothing here; it is a write that is allowed while Redis is out of memory.

redis.call('PERSIST', KEYS[1])
return redis.call('SADD', KEYS[1], ARGV[1])
