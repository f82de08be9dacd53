-- fulfil: a wish to forget is fulfilled; what was deleted is kept for a while for who asked.
--
-- KEYS 1 wishes  HASH  id of the wish -> whose, as JSON; until it is fulfilled
--      2 report  HASH  told: what was deleted, as JSON; expires
-- ARGV 1 id of the wish
--      2 the report
--      3 keep_ms of the report
-- Returns 1 FULFILLED | 0 ALREADY (another worker has fulfilled it)
--
-- HDEL is a write that is allowed while Redis is out of memory, like PERSIST before it.

local wishes, report = KEYS[1], KEYS[2]
redis.call('PERSIST', wishes)
if redis.call('HDEL', wishes, ARGV[1]) == 0 then
  return 0
end
redis.call('HSET', report, 'told', ARGV[2])
redis.call('PEXPIRE', report, ARGV[3])
return 1
