-- append: put one message into its instance's stream, once.
--
-- KEYS 1 stream   STREAM  the instance's entries in this partition
--      2 streams  SET     instances that have a stream here
--      3 ready    ZSET    instance -> ms of its first unread entry
--      4 bell     STREAM  length 1; what the owner blocks on
--      5 seen0    HASH    message hash -> entry id, even generations
--      6 seen1    HASH    the same, odd generations
-- ARGV 1 instance
--      2 message hash, 12 bytes
--      3 the entry's value
--      4 dedupe_ms: a generation's length; an id is remembered for one to two of them
--      5 group
-- Returns {0 APPENDED | 1 DUPLICATE, entry id}
--
-- XADD comes first: when Redis refuses it (out of memory), nothing was written. A known id is
-- written, too, the expiry that it has: WAIT and WAITAOF would else answer for nothing.

local stream, streams, ready, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local instance, hash, value = ARGV[1], ARGV[2], ARGV[3]
local dedupe_ms, group = tonumber(ARGV[4]), ARGV[5]

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local generation = math.floor(now_ms / dedupe_ms)
local seen, before = KEYS[5 + generation % 2], KEYS[6 - generation % 2]

local function expire(key, of)
  redis.call('PEXPIREAT', key, string.format('%.0f', (of + 2) * dedupe_ms))
end
for i, key in ipairs({seen, before}) do
  local known = redis.call('HGET', key, hash)
  if known then
    expire(key, generation + 1 - i)
    return {1, known}
  end
end

local id = redis.call('XADD', stream, '*', 'm', value)
redis.call('HSET', seen, hash, id)
expire(seen, generation)
if redis.call('SADD', streams, instance) == 1 then
  redis.pcall('XGROUP', 'CREATE', stream, group, '0')
end
local was_empty = redis.call('EXISTS', ready) == 0
redis.call('ZADD', ready, 'NX', string.format('%.0f', now_ms), instance)
if was_empty then
  redis.call('XADD', bell, 'MAXLEN', '1', '*', 'r', '1')
end
return {0, id}
