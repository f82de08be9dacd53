-- drop: delete a record that cannot be read, if the lease is ours: its window or send begins anew.
--
-- KEYS 1 lease    HASH  owner, epoch
--      2 running  HASH  conversation -> record; or sending: reply id -> record
-- ARGV 1 worker id
--      2 epoch
--      3 the field as it stands there
--      4 the value as it stands there
-- Returns {0 FENCED} | {1 DROPPED} | {2 OTHER} (something else stands there, or nothing)

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return {0}
end
if redis.call('HGET', KEYS[2], ARGV[3]) ~= ARGV[4] then
  return {2}
end
redis.call('HDEL', KEYS[2], ARGV[3])
return {1}
