-- finish: record what became of a window and release its user.
--
-- KEYS 1 running  HASH    conversation -> record
--      2 stream   STREAM  the window's entries
--      3 outbox   STREAM  replies that are not sent
--      4 dead     STREAM  dead letters
--      5 journal  STREAM  what became of windows and replies
--      6 lease    HASH    owner, epoch
--      7 bell     STREAM  length 1
-- ARGV 1 conversation
--      2 token
--      3 worker id
--      4 group
--      5 id of the window's first entry
--      6 outcome: answered | silent | dead | missing
--      7 the reply (answered) or the dead letter (dead), else ''
--      8 hash of the conversation, for the journal
--      9 retention_ms of the journal
-- Returns {0 FINISHED, id of the reply or dead letter or ''} | {1 ALREADY} | {2 REFUSED}
--
-- ALREADY: record and first entry are gone, so an earlier call did it and its answer was lost.
-- The order of the writes matters, for Lua is not rolled back. PERSIST changes nothing; it is
-- a write that is allowed while Redis is out of memory.

local running, stream, lease, bell = KEYS[1], KEYS[2], KEYS[6], KEYS[7]
local conversation, token, worker, group, first = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local outcome, value = ARGV[6], ARGV[7]

local found = redis.call('HGET', running, conversation)
if not found and #redis.call('XRANGE', stream, first, first) == 0 then
  return {1}
end
local record = found and cjson.decode(found)
if not record or record.token ~= token then
  return {2}
end

redis.call('PERSIST', running)
local id = ''
if outcome == 'answered' then
  id = redis.call('XADD', KEYS[3], '*', 'm', value)
elseif outcome == 'dead' then
  id = redis.call('XADD', KEYS[4], '*', 'm', value)
end
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = string.format('%.0f', now_ms - tonumber(ARGV[9]))
redis.call('XADD', KEYS[5], 'MINID', '~', oldest, '*', 'what', outcome, 'window', record.window_id,
  'who', ARGV[8], 'ids', table.concat(record.ids, ' '), 'attempt', record.attempt, 'ref', id)
redis.call('XACK', stream, group, unpack(record.ids))
redis.call('XDEL', stream, unpack(record.ids))
redis.call('HDEL', running, conversation)
if redis.call('HGET', lease, 'owner') ~= worker then
  redis.call('XADD', bell, 'MAXLEN', '1', '*', 'r', '1')
end
return {0, id}
