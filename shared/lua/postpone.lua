-- postpone: give a running window back until a later time; nobody holds it meanwhile.
--
-- KEYS 1 running  HASH    conversation -> record
--      2 lease    HASH    owner, epoch
--      3 bell     STREAM  length 1
-- ARGV 1 conversation
--      2 token
--      3 worker id
--      4 delay in ms
--      5 1: the attempt counts | 0: it does not
--      6 1: the endpoint was unavailable | 0: it was not
--      7 the error, for people
--      8 its kind, on one line: kept with its time, for the newest attempts
-- Returns {0 POSTPONED, attempt, since} | {1 REFUSED} (the token is not ours any more)
--
-- An attempt that was cut short (0 and 0) says nothing of the endpoint: since stays.
-- A repeated call (a lost answer) changes nothing: the record is already nobody's.
-- The bell is rung when another worker owns the partition: it waits for this conversation.
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local running, lease, bell = KEYS[1], KEYS[2], KEYS[3]
local conversation, token, worker = ARGV[1], ARGV[2], ARGV[3]
local delay, counts, unavailable, failure = tonumber(ARGV[4]), ARGV[5], ARGV[6], ARGV[7]

local found = redis.call('HGET', running, conversation)
local record = found and cjson.decode(found)
if not record or record.token ~= token then
  return {1}
end
if record.worker ~= '' then
  local time = redis.call('TIME')
  local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
  redis.call('PERSIST', running)
  record.worker, record.retry_at, record.delay, record.error = '', now_ms + delay, delay, failure
  local line = string.format('%d %.0f %s', record.attempt, now_ms, ARGV[8])
  local failed = (record.failed or '') == '' and line or table.concat({record.failed, line}, '\n')
  record.failed = #failed > 2000 and string.match(failed, '\n(.*)$') or failed
  if counts == '0' then
    record.attempt = record.attempt - 1
  end
  if unavailable == '0' and counts == '1' then
    record.since = 0
  elseif unavailable == '1' and record.since == 0 then
    record.since = now_ms
  end
  redis.call('HSET', running, conversation, cjson.encode(record))
  if redis.call('HGET', lease, 'owner') ~= worker then
    redis.call('XADD', bell, 'MAXLEN', '1', '*', 'r', '1')
  end
end
return {0, record.attempt, record.since}
