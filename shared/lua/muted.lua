-- muted: what is known of persons in a conversation, at a moment.
--
-- KEYS 1 human  HASH  of the conversation; see echo, send and note_sent
-- Returns {now in ms, field, value, ...}
--
-- A key that somebody else wrote, with another type, says nothing.

local known = redis.pcall('HGETALL', KEYS[1])
if known.err then
  known = {}
end
local time = redis.call('TIME')
table.insert(known, 1, time[1] * 1000 + math.floor(time[2] / 1000))
return known
