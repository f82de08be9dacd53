-- read: take unread entries of several streams into our pending list, if the lease is ours.
--
-- KEYS 1 lease   HASH    owner, epoch
--      2 ready   ZSET    instance -> ms
--      3 outbox  STREAM  replies that are not sent
--      4 pending SET     instances that have entries read and not finished, maybe others too
--      5.. a stream per instance asked for
-- ARGV 1 worker id, also the consumer's name
--      2 epoch
--      3 group
--      4 a stream gives no more pages after so many bytes
--      5 1: name what is in ready afterwards | 0: name nothing
--      6.. pairs: instance, how many entries at most
-- Returns {0 FENCED} or {1, what peek returns, {code, {id, body, id, body, ...}}, ...}:
--      0 READ       entries, and nothing is left: the instance left ready
--      1 NO_STREAM  there is none, the instance left ready
--      2 NO_GROUP   the group was lost and is there again from 0, the instance ready: read again
--      3 FAILED     the error's text instead of entries; caught, it takes nothing from the others
--      4 MORE       entries; as many as were asked for, so more may be there
-- A body is the value of an entry's only field m, else all fields and values. Pages grow from one
-- entry to sixteen: no command says how large the next is. PERSIST is allowed out of memory.
local held, ready = redis.call('HMGET', KEYS[1], 'owner', 'epoch'), KEYS[2]
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return {0} end
local consumer, group, max_bytes, time = ARGV[1], ARGV[3], tonumber(ARGV[4]), redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('PERSIST', ready)
local function read_stream(stream, instance, most)
  local entries, size, bytes, page = {}, 0, 0, 1
  while size < 2 * most and bytes < max_bytes do
    local count = math.min(page, most - size / 2)
    local reply = redis.pcall('XREADGROUP', 'GROUP', group, consumer, 'COUNT', count, 'STREAMS', stream, '>')
    local failure = reply and reply.err
    if failure and not string.find(failure, 'NOGROUP', 1, true) then
      return {3, failure}
    elseif failure and redis.call('EXISTS', stream) == 1 then
      redis.call('ZADD', ready, 'NX', now_ms, instance)
      return redis.call('XGROUP', 'CREATE', stream, group, '0') and {2, {}}
    end
    local found = reply and not failure and reply[1][2] or {}
    for i = 1, #found do
      local values = found[i][2]
      entries[size + 1], entries[size + 2] = found[i][1], #values == 2 and values[1] == 'm' and values[2] or values
      size, bytes = size + 2, bytes + #(values[2] or '')
    end
    if #found < count then
      redis.pcall('SADD', KEYS[4], instance)
      redis.call('ZREM', ready, instance)
      return {failure and 1 or 0, entries}
    end
    page = math.min(2 * page, 16)
  end
  return {4, entries}
end
local last, reads = redis.call('XREVRANGE', KEYS[3], '+', '-', 'COUNT', '1')[1], {}
for i = 5, #KEYS do
  reads[#reads + 1] = read_stream(KEYS[i], ARGV[2 * i - 4], tonumber(ARGV[2 * i - 3]))
end
local names = ARGV[5] == '1' and redis.call('ZRANGE', ready, 0, -1) or {}
return {1, {now_ms, names, last and last[1] or ''}, unpack(reads)}
