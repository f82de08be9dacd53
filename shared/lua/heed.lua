-- heed: what an ingest process is to forget, and that it has forgotten what it was told before.
--
-- KEYS 1 forgets  STREAM  who is to be forgotten, and as of when (at, in ms)
--      2 heeded   HASH    ingest process -> id of the last forget that it has heeded, and when (ms)
-- ARGV 1 id of the last forget that the caller knows
--      2 the ingest process; '' only asks
--      3 id of the last forget that it has heeded
-- Returns {now in ms, {id, {field, value, ...}}, ...}, the forgets behind the known one
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local forgets, heeded, known, process = KEYS[1], KEYS[2], ARGV[1], ARGV[2]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
if process ~= '' then
  redis.call('PERSIST', heeded)
  redis.call('HSET', heeded, process, string.format('%s %.0f', ARGV[3], now_ms))
end
local answer = redis.call('XRANGE', forgets, string.format('(%s', known), '+')
table.insert(answer, 1, now_ms)
return answer
