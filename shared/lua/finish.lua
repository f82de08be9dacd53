-- finish: record what became of windows and release their users.
-- KEYS 1 running  HASH    conversation -> record
--      2 outbox   STREAM  replies that are not sent
--      3 dead     STREAM  dead letters
--      4 journal  STREAM  what became of windows and replies
--      5 lease    HASH    owner, epoch
--      6 bell     STREAM  length 1
--      7 muted    ZSET    conversation -> until when, in ms
--      8.. a window's stream each; then a LIST, what was said, for each that is remembered
-- ARGV 1 worker id
--      2 group
--      3 retention_ms of the journal
--      4 windows
--      5.. seven per window: conversation, token, first entry's id, outcome (answered | dead | silent |
--          muted | with_human | missing), reply, dead letter or '', conversation's hash, ms to mute or
--          0; then four per list: its window's number, what to add, length and ms to keep
-- Returns {{code, text}, ...}, one pair per window:
--      0 FINISHED  the id of the reply or dead letter, or ''
--      1 ALREADY   record and first entry are gone: an earlier call did it, its answer was lost
--      2 REFUSED   the record has another token, or there is none
--      3 FAILED    the error; it touches no other window
--      4 MUTED     it is finished, without its reply: somebody has muted the user meanwhile
-- Lua is not rolled back: what may fail comes before the writes, or each repetition would add a reply.
local running, journal, bell, muted, group = KEYS[1], KEYS[4], KEYS[6], KEYS[7], ARGV[2]
local owner, time, result, finished = redis.call('HGET', KEYS[5], 'owner'), redis.call('TIME'), {}, false
local targets, windows, now_ms = {answered = KEYS[2], dead = KEYS[3]}, ARGV[4] + 7, time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('PERSIST', running) -- changes nothing, and is allowed out of memory
redis.call('XTRIM', journal, 'MINID', '~', string.format('%.0f', now_ms - ARGV[3]))
redis.pcall('ZREMRANGEBYSCORE', muted, '-inf', string.format('%.0f', now_ms))
local function finish_window(stream, conversation, token, first, outcome, value, who, mute)
  local found, code = redis.call('HGET', running, conversation), 0
  if not found and #redis.call('XRANGE', stream, first, first) == 0 then return {1, ''} end
  local record = found and cjson.decode(found)
  if not record or record.token ~= token then return {2, ''} end
  if outcome == 'answered' and tonumber(redis.pcall('ZSCORE', muted, conversation) or nil) then outcome, code = 'muted', 4 end
  local ids, target, _ = table.concat(record.ids, ' '), targets[outcome], redis.call('XLEN', stream)
  local id = target and redis.call('XADD', target, '*', 'm', value) or ''
  redis.call('XADD', journal, '*', 'what', outcome, 'window', record.window_id, 'who', who, 'ids', ids, 'attempt', record.attempt, 'ref', id, 'opened', record.opened_at, 'closed', record.closed_at,
    'by', record.closed_by, 'started', record.started, 'failed', record.failed or '')
  if mute ~= '0' then redis.pcall('ZADD', muted, 'GT', string.format('%.0f', now_ms + mute), conversation) end
  redis.call('XACK', stream, group, unpack(record.ids))
  redis.call('XDEL', stream, unpack(record.ids))
  redis.call('HDEL', running, conversation)
  return {code, id}
end
for i = 8, #KEYS do
  local at = i > windows and 4 * i + 3 * windows - 48 or 7 * i - 51
  if i <= windows then
    local ok, answer = pcall(finish_window, KEYS[i], unpack(ARGV, at, at + 6))
    result[i - 7] = ok and answer or {3, type(answer) == 'table' and answer.err or answer}
    finished = finished or result[i - 7][1] % 4 == 0
  elseif result[tonumber(ARGV[at])][1] == 0 then
    redis.pcall('RPUSH', KEYS[i], ARGV[at + 1])
    redis.pcall('LTRIM', KEYS[i], -ARGV[at + 2], -1)
    redis.pcall('PEXPIRE', KEYS[i], ARGV[at + 3])
  end
end
if owner ~= ARGV[1] and finished then redis.pcall('XADD', bell, 'MAXLEN', '1', '*', 'r', '1') end
return result
