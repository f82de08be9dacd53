-- discard: throw a reply away that is not being sent, and say so in the journal.
--
-- KEYS 1 sending  HASH    reply id -> record
--      2 outbox   STREAM  replies that are not sent
--      3 journal  STREAM  what became of windows and replies
--      4 bell     STREAM  length 1
-- ARGV 1 reply id
--      2 window id
--      3 hash of the conversation
-- Returns 0 DISCARDED | 1 GONE (it is not in the outbox) | 2 SENDING (a worker has it in hand)
--
-- A record that cannot be read goes with it. PERSIST changes nothing; it is a write that is allowed
-- while Redis is out of memory.

local sending, outbox, id = KEYS[1], KEYS[2], ARGV[1]

if #redis.call('XRANGE', outbox, id, id) == 0 then
  return 1
end
local found = redis.call('HGET', sending, id)
local is_read, record = pcall(cjson.decode, found or '{}')
if is_read and (record.worker or '') ~= '' then
  return 2
end
redis.call('PERSIST', sending)
redis.call('XADD', KEYS[3], '*', 'what', 'discarded', 'window', ARGV[2], 'who', ARGV[3], 'ref', id)
redis.call('XDEL', outbox, id)
redis.call('HDEL', sending, id)
redis.call('XADD', KEYS[4], 'MAXLEN', '1', '*', 'r', '1')
return 0
