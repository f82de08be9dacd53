-- forget_remembered: delete what is remembered of a conversation beside its messages and replies.
--
-- KEYS 1 even     HASH  the conversation's seen, even generations: message hash -> entry id, and
--                       first entry id of a window -> ending
--      2 odd      HASH  the same, odd generations
--      3 history  LIST  what was said and answered
--      4 human    HASH  what persons wrote
--      5 muted    ZSET  conversation -> until when, in ms
-- ARGV 1 conversation
--      2 newest_ms: ids of messages that came later stay, or each could come twice
-- Returns {how many remembered ids, things said, notes on persons and mutes were deleted}
--
-- Whatever type somebody else has given a key of the conversation's own, it goes.

local history, human, conversation, newest_ms = KEYS[3], KEYS[4], ARGV[1], tonumber(ARGV[2])
local ids = 0

local function is_old(id)
  return (tonumber(string.match(id, '^(%d+)%-%d+$') or nil) or math.huge) <= newest_ms
end
for _, seen in ipairs({KEYS[1], KEYS[2]}) do
  local known = redis.pcall('HGETALL', seen)
  if known.err then
    redis.call('DEL', seen)
  end
  for i = 1, #known, 2 do
    if is_old(known[i]) or is_old(known[i + 1]) then
      ids = ids + redis.call('HDEL', seen, known[i])
    end
  end
end
local said, notes = redis.pcall('LLEN', history), redis.pcall('HLEN', human)
redis.call('DEL', history)
redis.call('DEL', human)
local mutes = redis.pcall('ZREM', KEYS[5], conversation)
return {ids, tonumber(said) or 0, tonumber(notes) or 0, tonumber(mutes) or 0}
