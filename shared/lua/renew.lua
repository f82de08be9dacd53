-- renew: lengthen those leases that are still ours.
--
-- KEYS *   leases  HASH each  owner, epoch; TTL lease_ms
-- ARGV 1   worker id
--      2   lease_ms
--      3.. the epoch of each lease
-- Returns of each lease 1 RENEWED | 0 LOST
--
-- A key that is no hash is lost by itself: the other leases have nothing to do with it.

local renewed = {}
for i, lease in ipairs(KEYS) do
  local held = redis.pcall('HMGET', lease, 'owner', 'epoch')
  if held[1] == ARGV[1] and held[2] == ARGV[i + 2] then
    renewed[i] = redis.call('PEXPIRE', lease, ARGV[2])
  else
    renewed[i] = 0
  end
end
return renewed
