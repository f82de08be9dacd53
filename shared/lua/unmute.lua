-- unmute: end a conversation's mute, whoever began it; what a person wrote until now mutes no more.
--
-- KEYS 1 muted  ZSET  conversation -> until when, in ms
--      2 human  HASH  of the conversation, if a person may mute it; see echo, send and note_sent
-- ARGV 1 conversation
-- Returns 1 UNMUTED
--
-- A person's message stays known, or a webhook that comes again would mute again. A key that
-- somebody else wrote, with another type, stays as it is. PERSIST changes nothing; it is a write
-- that is allowed while Redis is out of memory.

local muted, human, conversation = KEYS[1], KEYS[2], ARGV[1]
local time = redis.call('TIME')
redis.call('PERSIST', muted)
redis.pcall('ZREM', muted, conversation)
if redis.call('EXISTS', human) == 1 then
  local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.pcall('HSET', human, 'unmuted', string.format('%.0f', now_ms))
end
return 1
