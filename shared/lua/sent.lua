-- sent: a reply has left; move it from the outbox to the journal.
--
-- KEYS 1 sending  HASH    reply id -> record
--      2 outbox   STREAM  replies that are not sent
--      3 journal  STREAM  what became of windows and replies
--      4 lease    HASH    owner, epoch
--      5 bell     STREAM  length 1
-- ARGV 1 reply id
--      2 token, or '' for a reply whose sending never began
--      3 worker id
--      4 what: sent | kept (there is no channel, and its time to be read is over)
--      5 window id
--      6 hash of the conversation
--      7 retention_ms of the journal
-- Returns 0 DONE | 1 ALREADY | 2 REFUSED
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local sending, outbox, id, token = KEYS[1], KEYS[2], ARGV[1], ARGV[2]

local found = redis.call('HGET', sending, id)
if not found and #redis.call('XRANGE', outbox, id, id) == 0 then
  return 1
end
if (found and cjson.decode(found).token or '') ~= token then
  return 2
end
redis.call('PERSIST', sending)
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = string.format('%.0f', now_ms - tonumber(ARGV[7]))
redis.call('XADD', KEYS[3], 'MINID', '~', oldest, '*', 'what', ARGV[4], 'window', ARGV[5],
  'who', ARGV[6], 'ref', id)
redis.call('XDEL', outbox, id)
redis.call('HDEL', sending, id)
if redis.call('HGET', KEYS[4], 'owner') ~= ARGV[3] then
  redis.call('XADD', KEYS[5], 'MAXLEN', '1', '*', 'r', '1')
end
return 0
