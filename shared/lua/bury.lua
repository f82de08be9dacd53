-- bury: make a dead letter of one entry that cannot be decoded, if the lease is ours.
--
-- KEYS 1 lease   HASH    owner, epoch
--      2 stream  STREAM
--      3 dead    STREAM  dead letters
-- ARGV 1 worker id
--      2 epoch
--      3 group
--      4 entry id
--      5 the dead letter
-- Returns 1 BURIED | 0 FENCED | 2 GONE (the entry is not there: buried already)
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return 0
end
local stream, group, id = KEYS[2], ARGV[3], ARGV[4]
if #redis.call('XRANGE', stream, id, id) == 0 then
  return 2
end
redis.call('PERSIST', stream)
redis.call('XADD', KEYS[3], '*', 'm', ARGV[5])
redis.call('XACK', stream, group, id)
redis.call('XDEL', stream, id)
return 1
