-- unmute: end a conversation's mute, whoever began it; what a person wrote until now mutes no more.
--
-- KEYS 1 muted  ZSET  conversation -> until when, in ms
--      2 human  HASH  of the conversation, if a person may mute it; see echo, send and note_sent
-- ARGV 1 conversation
-- Returns {now in ms, until when it was muted or 0, field, value, ...}; the fields are those that
-- human had
--
-- A person's message stays known, or a webhook that comes again would mute again. A key that
-- somebody else wrote, with another type, stays as it is. PERSIST changes nothing; it is a write
-- that is allowed while Redis is out of memory.

local muted, human, conversation = KEYS[1], KEYS[2], ARGV[1]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local ends = redis.pcall('ZSCORE', muted, conversation)
local known = redis.pcall('HGETALL', human)
if known.err then
  known = {}
end
table.insert(known, 1, now_ms)
table.insert(known, 2, type(ends) == 'string' and tonumber(ends) or 0)
redis.call('PERSIST', muted)
redis.pcall('ZREM', muted, conversation)
if #known > 2 then
  redis.pcall('HSET', human, 'unmuted', string.format('%.0f', now_ms))
end
return known
