-- renew: lengthen a lease that is still ours.
--
-- KEYS 1 lease  HASH  owner, epoch; TTL lease_ms
-- ARGV 1 worker id
--      2 epoch
--      3 lease_ms
-- Returns 1 RENEWED | 0 LOST

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return 0
end
return redis.call('PEXPIRE', KEYS[1], ARGV[3])
