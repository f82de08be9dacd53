-- start: write the records of windows that now begin, or begin again, if the lease is ours.
--
-- KEYS 1 lease    HASH  owner, epoch
--      2 running  HASH  conversation -> record
--      3 muted    ZSET  conversation -> until when, in ms
--      4.. a window's stream each
-- ARGV 1 worker id
--      2 epoch
--      3 group
--      4.. five per window: conversation, token to replace ('' for none), new token, id of the
--          first entry, record (JSON: ids, window_id, closed_by, opened_at, closed_at, error)
-- Returns {0 FENCED} or {1, now in ms, {code, attempt, delay, since, 1: it is muted}, ...}:
--      0 STARTED   the record is ours; also when it already was (a lost answer)
--      1 CONFLICT  another token stands there, or none where one was named; also when the new
--                  token is the one to replace and its record is not ours any more
--      2 GONE      there is no record and the first entry is not pending: finished already
--
-- The record is the caller's JSON with more fields behind: to decode and encode it costs more than
-- all the rest. PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return {0} end
local running, muted, worker, group = KEYS[2], KEYS[3], ARGV[1], ARGV[3]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local started = string.format('"started":%.0f,"retry_at":0', now_ms)
redis.call('PERSIST', running)
redis.pcall('ZREMRANGEBYSCORE', muted, '-inf', string.format('%.0f', now_ms))

local function start_window(stream, conversation, replaces, token, first, body)
  local found = redis.call('HGET', running, conversation)
  local current = found and cjson.decode(found)
  if current and current.token == token and current.worker == worker and current.retry_at == 0 then
    return {0, current.attempt, current.delay, current.since}
  end
  if (current and current.token or '') ~= replaces or token == replaces then
    return {1, 0, 0, 0}
  end
  if not current and #redis.call('XPENDING', stream, group, first, first, '1') == 0 then
    return {2, 0, 0, 0}
  end
  local attempt, delay, since, failed = 1, 0, 0, '""'
  if current and current.ids[1] == first then
    attempt, delay, since, failed = current.attempt + 1, current.delay, current.since, cjson.encode(current.failed or '')
  end
  redis.call('HSET', running, conversation, string.format(
    '%s,"token":"%s","worker":"%s","attempt":%d,"delay":%.0f,"since":%.0f,"failed":%s,%s}',
    string.sub(body, 1, -2), token, worker, attempt, delay, since, failed, started))
  return {0, attempt, delay, since}
end

local result = {1, now_ms}
for i = 4, #KEYS do
  local at = 5 * (i - 4) + 4
  local answer = start_window(KEYS[i], unpack(ARGV, at, at + 4))
  answer[5] = tonumber(redis.pcall('ZSCORE', muted, ARGV[at]) or nil) and 1 or 0
  result[i - 1] = answer
end
return result
