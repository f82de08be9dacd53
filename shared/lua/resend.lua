-- resend: a reply that was held for a person is to be sent after all.
--
-- KEYS 1 sending  HASH    reply id -> record
--      2 outbox   STREAM  replies that are not sent
--      3 bell     STREAM  length 1
-- ARGV 1 reply id
-- Returns 0 RELEASED | 1 GONE (it is not in the outbox) | 2 NOT_HELD (it waits for nobody)
--
-- What has left of it stays counted, its attempts do not. Its token stays: whoever sends it next
-- replaces that. PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local sending, id = KEYS[1], ARGV[1]

if #redis.call('XRANGE', KEYS[2], id, id) == 0 then
  return 1
end
local found = redis.call('HGET', sending, id)
local record = found and cjson.decode(found)
if not record or record.held == '' then
  return 2
end
redis.call('PERSIST', sending)
local time = redis.call('TIME')
record.worker, record.held, record.delay, record.attempt = '', '', 0, 0
record.retry_at = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', sending, id, cjson.encode(record))
redis.call('XADD', KEYS[3], 'MAXLEN', '1', '*', 'r', '1')
return 0
