-- append: put messages of one partition into their streams, in the order given, each once.
--
-- KEYS 1 streams  SET     instances that have a stream here
--      2 ready    ZSET    instance -> ms of its first unread entry
--      3 bell     STREAM  length 1; what the owner blocks on; says which instance is ready
--      4.. three per message: its stream; its conversation's seen0 and seen1, HASHes message hash
--          -> entry id, of even and of odd generations
-- ARGV 1 group
--      2 dedupe_ms: a generation's length; an id is remembered for one to two of them
--      3.. three per message: instance, message hash (12 bytes), the entry's value
-- Returns an answer per message:
--      entry id    APPENDED
--      {entry id}  DUPLICATE, of the first one
--      an error    REFUSED: nothing of it was written, nor of what follows it in its conversation
--
-- Before XADD, which Redis refuses out of memory, nothing is written. A known id is written, too,
-- the expiry that it has: WAIT and WAITAOF would else answer for nothing; and last, for after one
-- write Redis refuses no other. What is in ready is in streams and has its group.

local streams, ready, bell = KEYS[1], KEYS[2], KEYS[3]
local group, dedupe_ms, time = ARGV[1], tonumber(ARGV[2]), redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local generation = math.floor(now_ms / dedupe_ms)
local odd, now = generation % 2, string.format('%.0f', now_ms)
local expiry = string.format('%.0f', (generation + 2) * dedupe_ms)

local answers, known, refused, announced = {}, {}, {}, nil
for i = 4, #KEYS, 3 do
  local stream, seen, before = KEYS[i], KEYS[i + 1 + odd], KEYS[i + 2 - odd]
  local instance, hash = ARGV[i - 1], ARGV[i]
  local at, id = seen, refused[seen] or redis.pcall('HGET', seen, hash)
  if not id then
    at, id = before, redis.pcall('HGET', before, hash)
  end
  local is_known = id
  id = id or redis.pcall('XADD', stream, '*', 'm', ARGV[i + 1])
  if id.err then
    refused[seen] = id
  elseif is_known then
    known[at], id = generation + (at == seen and 2 or 1), {id}
  else
    redis.call('HSET', seen, hash, id)
    redis.call('PEXPIREAT', seen, expiry)
    if instance ~= announced and redis.call('ZADD', ready, 'NX', now, instance) == 1 then
      if redis.call('SADD', streams, instance) == 1 then
        redis.pcall('XGROUP', 'CREATE', stream, group, '0')
      end
      if #redis.call('ZRANGE', ready, 0, 1) == 1 then
        redis.call('XADD', bell, 'MAXLEN', '1', '*', 'instance', instance)
      end
    end
    announced = instance
  end
  answers[#answers + 1] = id
end
for seen, ends in pairs(known) do
  redis.call('PEXPIREAT', seen, string.format('%.0f', ends * dedupe_ms))
end
return answers
