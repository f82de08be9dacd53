-- send: record that a reply is about to be sent, if the lease is ours.
--
-- KEYS 1 lease    HASH    owner, epoch
--      2 sending  HASH    reply id -> record
--      3 outbox   STREAM  replies that are not sent
--      4 human    HASH    of the conversation: token, since when it is on its way, and what came;
--                 only with keep_ms
-- ARGV 1 worker id
--      2 epoch
--      3 reply id
--      4 token to replace ('' for none)
--      5 new token
--      6 keep_ms: how long to keep what is in human, or 0 where nobody asks
-- Returns {0 SENDING, attempt, texts already sent, parts of the next one already sent, the reply} |
--         {1 CONFLICT} | {2 GONE} | {3 FENCED}
--
-- SENDING also when this token already stands there (a lost answer); it is written again, for
-- WAIT speaks of this connection's last write. A send that stands in human still has died with its
-- worker: what it sent is not known.
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return {3}
end
local sending, human, worker, id = KEYS[2], KEYS[4], ARGV[1], ARGV[3]
local replaces, token, keep_ms = ARGV[4], ARGV[5], ARGV[6]

local entry = redis.call('XRANGE', KEYS[3], id, id)[1]
if not entry then
  return {2}
end
local found = redis.call('HGET', sending, id)
local current = found and cjson.decode(found)
local stands = current and current.token == token and current.worker == worker
if not stands and ((current and current.token or '') ~= replaces or token == replaces) then
  return {1}
end
redis.call('PERSIST', sending)
if stands then
  redis.call('HSET', sending, id, found)
  return {0, current.attempt, current.sent, current.parts or 0, entry[2][2]}
end
local record = {
  token = token, worker = worker, retry_at = 0, delay = 0, held = '',
  attempt = (current and current.attempt or 0) + 1, sent = current and current.sent or 0,
  parts = current and current.parts or 0,
}
redis.call('HSET', sending, id, cjson.encode(record))
if keep_ms ~= '0' then
  local time = redis.call('TIME')
  local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
  if redis.pcall('HSETNX', human, 'since', now) == 0 then
    redis.call('HSET', human, 'unsure', '1')
  end
  redis.pcall('HSET', human, 'token', token)
  redis.call('PEXPIRE', human, keep_ms)
end
return {0, record.attempt, record.sent, record.parts, entry[2][2]}
