-- unsend: give a begun send back, to be tried again later or to be held for a person.
--
-- KEYS 1 sending  HASH    reply id -> record
--      2 lease    HASH    owner, epoch
--      3 bell     STREAM  length 1
-- ARGV 1 reply id
--      2 token
--      3 worker id
--      4 delay in ms
--      5 why it is held ('' when it is only postponed)
--      6 how many of its texts have been sent, or '' to leave that
--      7 how many parts of the text behind them, or '' to leave that
--      8 1, or 0: the attempt does not count
--      9 why the attempt came to nothing, or ''
-- Returns 0 GIVEN_BACK | 1 REFUSED (the token is not ours any more)
--
-- A repeated call (a lost answer) changes nothing: the record is already nobody's.
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local sending, id, token, worker = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

local found = redis.call('HGET', sending, id)
local record = found and cjson.decode(found)
if not record or record.token ~= token then
  return 1
end
if record.worker ~= '' then
  local time = redis.call('TIME')
  redis.call('PERSIST', sending)
  record.worker, record.delay, record.held = '', tonumber(ARGV[4]), ARGV[5]
  record.retry_at = time[1] * 1000 + math.floor(time[2] / 1000) + record.delay
  record.sent = tonumber(ARGV[6]) or record.sent
  record.parts = tonumber(ARGV[7]) or record.parts
  record.attempt, record.error = record.attempt - 1 + tonumber(ARGV[8]), ARGV[9]
  redis.call('HSET', sending, id, cjson.encode(record))
  if redis.call('HGET', KEYS[2], 'owner') ~= worker then
    redis.call('XADD', KEYS[3], 'MAXLEN', '1', '*', 'r', '1')
  end
end
return 0
