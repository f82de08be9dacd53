-- trim: what was kept for a time goes when it is over, also where nothing else happens any more.
--
-- KEYS 1 journal  STREAM  what became of windows and replies
--      2 muted    ZSET    conversation -> until when, in ms
-- ARGV 1 retention_ms of the journal
-- Returns how many entries of the journal went, and how many conversations
--
-- Who writes to the journal trims it by whole nodes, so up to a hundred rows that are over stay where
-- nobody writes any more: this trims to the row. A key of another type stays as it is.

local journal, muted, retention_ms = KEYS[1], KEYS[2], tonumber(ARGV[1])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local rows = redis.pcall('XTRIM', journal, 'MINID', string.format('%.0f', now_ms - retention_ms))
local ended = redis.pcall('ZREMRANGEBYSCORE', muted, '-inf', string.format('%.0f', now_ms))
return {tonumber(rows) or 0, tonumber(ended) or 0}
