-- read: take unread entries of several streams into our pending list, if the lease is ours.
--
-- KEYS 1 lease  HASH  owner, epoch
--      2 ready  ZSET  instance -> ms
--      3.. a stream per instance asked for
-- ARGV 1 worker id, also the consumer's name
--      2 epoch
--      3 group
--      4.. pairs: instance, how many entries at most
-- Returns {0 FENCED} or {1, {code, entries}, ...}, one pair per stream:
--      0 READ       entries; fewer than asked for means drained, the instance left ready
--      1 NO_STREAM  there is none, the instance left ready
--      2 NO_GROUP   the group was lost and is there again from 0; read again
--      3 FAILED     the error's text instead of entries
--
-- Each read is a pcall: an error in one would throw away what another delivered.
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return {0}
end
local ready, consumer, group = KEYS[2], ARGV[1], ARGV[3]
redis.call('PERSIST', ready)

local function read_stream(stream, instance, count)
  local reply = redis.pcall('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')
  if reply and reply.err then
    if not string.find(reply.err, 'NOGROUP', 1, true) then
      return {3, reply.err}
    end
    if redis.call('EXISTS', stream) == 0 then
      redis.call('ZREM', ready, instance)
      return {1, {}}
    end
    redis.call('XGROUP', 'CREATE', stream, group, '0')
    return {2, {}}
  end
  local entries = reply and reply[1] and reply[1][2] or {}
  if #entries < tonumber(count) then
    redis.call('ZREM', ready, instance)
  end
  return {0, entries}
end

local result = {1}
for i = 3, #KEYS do
  result[#result + 1] = read_stream(KEYS[i], ARGV[2 * i - 2], ARGV[2 * i - 1])
end
return result
