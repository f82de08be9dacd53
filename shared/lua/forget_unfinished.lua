-- forget_unfinished: delete a conversation's entries, and the record of the window that is in hand.
--
-- KEYS 1 running  HASH    conversation -> record
--      2 stream   STREAM  the instance's entries in this partition
--      3 lease    HASH    owner, epoch
--      4 bell     STREAM  length 1
-- ARGV 1 group
--      2 conversation
--      3 newest_ms: a window that began later is new, and stays
--      4 ids of the entries, with a space between them
-- Returns {now in ms, how many entries were deleted, 1: the record, too}
--
-- What the owner has in memory is fenced: no lease has the epoch 0, so it takes over anew and finds
-- what is left. A handler at work is refused at its finish, for its token is gone. A record that
-- cannot be read goes, too. PERSIST changes nothing; it is a write that is allowed while Redis is out
-- of memory.

local running, stream, lease, group, conversation = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2]
local time, entries, records = redis.call('TIME'), 0, 0
redis.call('PERSIST', running)

local found = redis.call('HGET', running, conversation)
if found then
  local is_read, record = pcall(cjson.decode, found)
  local first_ms = is_read and tonumber(string.match((record.ids or {})[1] or '', '^%d+'))
  if not first_ms or first_ms <= tonumber(ARGV[3]) then
    records = redis.call('HDEL', running, conversation)
  end
end
for id in string.gmatch(ARGV[4], '%S+') do
  redis.pcall('XACK', stream, group, id)
  entries = entries + redis.call('XDEL', stream, id)
end
if entries + records > 0 then
  if redis.call('EXISTS', lease) == 1 then
    redis.call('HSET', lease, 'epoch', '0')
  end
  redis.call('XADD', KEYS[4], 'MAXLEN', '1', '*', 'r', '1')
end
return {time[1] * 1000 + math.floor(time[2] / 1000), entries, records}
