-- release: give a lease back, if it is still ours under this epoch.
--
-- KEYS 1 lease  HASH  owner, epoch; TTL lease_ms
-- ARGV 1 worker id
--      2 epoch
-- Returns 1 RELEASED | 0 LOST

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return 0
end
return redis.call('DEL', KEYS[1])
