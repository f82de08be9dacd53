-- ask_forget: have every ingest process drop what it keeps of a conversation on its disk.
--
-- KEYS 1 forgets  STREAM  who is to be forgotten, and as of when (at, in ms)
--      2 heeded   HASH    ingest process -> id of the last forget that it has heeded, and when (ms)
-- ARGV 1 hash of the conversation
--      2 keep_ms: how long a disk that is away may come back and still be told
--      3 silent_ms: an ingest process that has not asked for so long is struck off the list
-- Returns {id of the forget, now in ms}
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local forgets, heeded, who, keep_ms, silent_ms = KEYS[1], KEYS[2], ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now = string.format('%.0f', now_ms)
redis.call('PERSIST', forgets)
local known = redis.call('HGETALL', heeded)
local id = redis.call('XADD', forgets, 'MINID', string.format('%.0f', now_ms - keep_ms), '*', 'who', who, 'at', now)
for i = 1, #known, 2 do
  local last_ms = tonumber(string.match(known[i + 1], ' (%d+)$') or 0)
  if last_ms + silent_ms < now_ms then
    redis.call('HDEL', heeded, known[i])
  end
end
return {id, now_ms}
