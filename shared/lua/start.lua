-- start: write the records of windows that now begin, or begin again, if the lease is ours.
--
-- KEYS 1 lease    HASH  owner, epoch
--      2 running  HASH  conversation -> record
--      3.. a window's stream each
-- ARGV 1 worker id
--      2 epoch
--      3 group
--      4.. four per window: conversation, token to replace ('' for none), new token,
--          record (JSON: ids, window_id, closed_by, opened_at, closed_at, error)
-- Returns {0 FENCED} or {1, now in ms, {code, attempt, delay, since}, ...}:
--      0 STARTED   the record is ours; also when it already was (a lost answer)
--      1 CONFLICT  another token stands there, or none where one was named; also when the new
--                  token is the one to replace and its record is not ours any more
--      2 GONE      there is no record and the first entry is not pending: finished already
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then
  return {0}
end
local running, worker, group = KEYS[2], ARGV[1], ARGV[3]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('PERSIST', running)

local function start_window(stream, conversation, replaces, token, body)
  local found = redis.call('HGET', running, conversation)
  local current = found and cjson.decode(found)
  if current and current.token == token and current.worker == worker and current.retry_at == 0 then
    return {0, current.attempt, current.delay, current.since}
  end
  if (current and current.token or '') ~= replaces or token == replaces then
    return {1, 0, 0, 0}
  end
  local record = cjson.decode(body)
  local first = record.ids[1]
  if not current and #redis.call('XPENDING', stream, group, first, first, '1') == 0 then
    return {2, 0, 0, 0}
  end
  local again = current and current.ids[1] == first
  record.attempt = (again and current.attempt or 0) + 1
  record.delay = again and current.delay or 0
  record.since = again and current.since or 0
  record.token, record.worker, record.started, record.retry_at = token, worker, now_ms, 0
  redis.call('HSET', running, conversation, cjson.encode(record))
  return {0, record.attempt, record.delay, record.since}
end

local result = {1, now_ms}
for i = 3, #KEYS do
  local at = 4 * (i - 3) + 4
  result[#result + 1] = start_window(KEYS[i], ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3])
end
return result
