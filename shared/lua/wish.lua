-- wish: have a worker forget a user; ingest may not delete what Redis holds.
--
-- KEYS 1 wishes  HASH  id of the wish -> whose, as JSON; until it is fulfilled
-- ARGV 1 id of the wish
--      2 whose
-- Returns 1
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

redis.call('PERSIST', KEYS[1])
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1
