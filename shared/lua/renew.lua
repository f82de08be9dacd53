-- renew: lengthen those leases that are still ours.
--
-- KEYS 1.. leases  HASH each  owner, epoch; TTL lease_ms
-- ARGV 1 worker id
--      2 lease_ms
--      3.. the epoch of each lease
-- Returns {1 RENEWED | 0 LOST, ...}, for each lease
--
-- A key that is no hash is lost by itself: the other leases have nothing to do with it.

local renewed = {}
for i = 1, #KEYS do
  local held = redis.pcall('HMGET', KEYS[i], 'owner', 'epoch')
  local is_ours = held[1] == ARGV[1] and held[2] == ARGV[i + 2]
  renewed[i] = is_ours and redis.call('PEXPIRE', KEYS[i], ARGV[2]) or 0
end
return renewed
