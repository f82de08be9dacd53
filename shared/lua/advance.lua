-- advance: a part of a reply has left and its send goes on; after a crash it goes on behind it.
--
-- KEYS 1 sending  HASH    reply id -> record
-- ARGV 1 reply id
--      2 token
--      3 how many of its texts have been sent
--      4 how many parts of the text behind them
-- Returns 0 NOTED | 1 REFUSED (the send is not ours any more)
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local sending, id, token, texts, parts = KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4]

local found = redis.call('HGET', sending, id)
local record = found and cjson.decode(found)
if not record or record.token ~= token or record.worker == '' then
  return 1
end
redis.call('PERSIST', sending)
record.sent, record.parts = tonumber(texts), tonumber(parts)
redis.call('HSET', sending, id, cjson.encode(record))
return 0
