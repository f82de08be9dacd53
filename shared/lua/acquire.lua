-- acquire: take a partition's lease under a new epoch, also when it is already ours.
--
-- KEYS 1 lease  HASH    owner, epoch; TTL lease_ms
--      2 epoch  STRING  the last epoch given; never expires
-- ARGV 1 worker id
--      2 lease_ms
-- Returns the new epoch, or 0 HELD when another worker holds the lease
--
-- A new epoch for ourselves makes what an old connection still carries execute too late. It is
-- the time in ms, or one more than the last one where that is later: so it is new also where the
-- last one was lost (FLUSHALL, a crash that took the last writes along).
-- A TTL above lease_ms can only come from a step of Redis's clock, and is clipped.

local lease, epoch_key = KEYS[1], KEYS[2]
local worker, lease_ms = ARGV[1], tonumber(ARGV[2])

local owner = redis.call('HGET', lease, 'owner')
if owner and owner ~= worker then
  local ttl = redis.call('PTTL', lease)
  if ttl > lease_ms or ttl < 0 then
    redis.call('PEXPIRE', lease, lease_ms)
  end
  return 0
end
redis.call('PEXPIRE', lease, lease_ms)
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local epoch = math.max(now_ms, tonumber(redis.call('GET', epoch_key) or 0) + 1)
local text = string.format('%.0f', epoch)
redis.call('SET', epoch_key, text)
redis.call('HSET', lease, 'owner', worker, 'epoch', text)
redis.call('PEXPIRE', lease, lease_ms)
return epoch
