-- peek: the time, and which streams have entries not yet read.
--
-- KEYS 1 ready   ZSET    instance -> ms
--      2 outbox  STREAM  replies that are not sent
-- Returns {now in ms, {instance, ...}, id of the last reply or ''}
--
-- The time is taken before the names: an entry older than it belongs to a stream that is named.

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local names = redis.call('ZRANGE', KEYS[1], 0, -1)
local last = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', '1')[1]
return {now_ms, names, last and last[1] or ''}
