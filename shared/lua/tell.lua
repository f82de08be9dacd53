-- tell: write into a live worker's key what it has in hand, for people who look.
--
-- KEYS 1 worker  HASH  state, host, doing; TTL lease_ms
-- ARGV 1 what it has in hand, in JSON
-- Returns 1 TOLD | 0 GONE (the key is not there; it is not made)
--
-- The key lives as long as it would have: only a beat lengthens that. PEXPIRE is allowed while Redis
-- is out of memory, and lets the script's HSET through.

local worker, doing = KEYS[1], ARGV[1]

local left_ms = redis.call('PTTL', worker)
if left_ms <= 0 then
  return 0
end
redis.call('PEXPIRE', worker, left_ms)
redis.call('HSET', worker, 'doing', doing)
return 1
