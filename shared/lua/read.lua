-- read: take unread entries of several streams into our pending list, if the lease is ours.
--
-- KEYS 1 lease  HASH  owner, epoch
--      2 ready  ZSET  instance -> ms
--      3.. a stream per instance asked for
-- ARGV 1 worker id, also the consumer's name
--      2 epoch
--      3 group
--      4 a stream gives no more pages after so many bytes
--      5.. pairs: instance, how many entries at most
-- Returns {0 FENCED} or {1, {code, entries}, ...}, one pair per stream:
--      0 READ       entries, and nothing is left: the instance left ready
--      1 NO_STREAM  there is none, the instance left ready
--      2 NO_GROUP   the group was lost and is there again from 0; read again
--      3 FAILED     the error's text instead of entries
--      4 MORE       entries; as many as were asked for, so more may be there
--
-- Pages grow from one entry to sixteen: no command says how large the next is. Each read is a
-- pcall, for an error in one would throw away what another delivered. PERSIST changes nothing; it
-- is a write that is allowed while Redis is out of memory.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return {0}
end
local ready, consumer, group, max_bytes = KEYS[2], ARGV[1], ARGV[3], tonumber(ARGV[4])
redis.call('PERSIST', ready)
local function read_stream(stream, instance, most)
  local entries, bytes, page = {}, 0, 1
  while #entries < most and bytes < max_bytes do
    local count = math.min(page, most - #entries)
    local reply = redis.pcall('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')
    if reply and reply.err then
      if not string.find(reply.err, 'NOGROUP', 1, true) then
        return {3, reply.err}
      elseif redis.call('EXISTS', stream) == 1 then
        redis.call('XGROUP', 'CREATE', stream, group, '0')
        return {2, {}}
      end
      redis.call('ZREM', ready, instance)
      return {1, {}}
    end
    local found = reply and reply[1][2] or {}
    for _, entry in ipairs(found) do
      entries[#entries + 1], bytes = entry, bytes + #(entry[2][2] or '')
    end
    if #found < count then
      redis.call('ZREM', ready, instance)
      return {0, entries}
    end
    page = math.min(2 * page, 16)
  end
  return {4, entries}
end
local result = {1}
for i = 3, #KEYS do
  result[#result + 1] = read_stream(KEYS[i], ARGV[2 * i - 1], tonumber(ARGV[2 * i]))
end
return result
