-- beat: keep a worker's key alive, or make it (again).
--
-- KEYS 1 worker  HASH  state, host, started; TTL lease_ms
-- ARGV 1 lease_ms
--      2 state: up | draining
--      3 host, for people
-- Returns 1 KEPT | 0 JOINED (the key was not there)
--
-- PEXPIRE is allowed while Redis is out of memory, and lets the script's HSET through.

local worker, lease_ms, state, host = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local kept = redis.call('PEXPIRE', worker, lease_ms)
if redis.call('HGET', worker, 'state') ~= state then
  redis.call('HSET', worker, 'state', state, 'host', host)
  redis.call('PEXPIRE', worker, lease_ms)
end
return kept
