-- mute: for a time a conversation's windows are finished in silence, whatever was decided before.
--
-- KEYS 1 muted  ZSET  conversation -> until when, in ms; start, finish and this remove what is over
-- ARGV 1 conversation
--      2 for how long, in ms
-- Returns until when, in ms
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local muted, conversation = KEYS[1], ARGV[1]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = now_ms + tonumber(ARGV[2])
redis.call('PERSIST', muted)
redis.call('ZREMRANGEBYSCORE', muted, '-inf', string.format('%.0f', now_ms))
redis.call('ZADD', muted, string.format('%.0f', ends), conversation)
return ends
