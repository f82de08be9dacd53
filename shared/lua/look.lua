-- look: is this worker alive, and does it drain?
--
-- KEYS 1 worker  HASH  state; TTL lease_ms
-- ARGV 1 lease_ms: a TTL above it can only come from a step of Redis's clock, and is clipped
-- Returns the state, or nil for a worker that is gone

local worker, lease_ms = KEYS[1], tonumber(ARGV[1])

local state = redis.call('HGET', worker, 'state')
if state then
  local ttl = redis.call('PTTL', worker)
  if ttl > lease_ms or ttl < 0 then
    redis.call('PEXPIRE', worker, lease_ms)
  end
end
return state
