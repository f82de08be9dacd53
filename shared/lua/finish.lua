-- finish: record what became of windows and release their users.
-- KEYS 1 running  HASH    conversation -> record
--      2 outbox   STREAM  replies that are not sent
--      3 dead     STREAM  dead letters
--      4 journal  STREAM  what became of windows and replies
--      5 lease    HASH    owner, epoch
--      6 bell     STREAM  length 1
--      7 muted    ZSET    conversation -> until when, in ms
--      8.. a window's stream each; then two HASHes each, its conversation's seen of even and of odd
--          generations: here window -> ending; then a LIST, what was said, for each that is remembered
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
local running, journal, bell, muted, group, windows = KEYS[1], KEYS[4], KEYS[6], KEYS[7], ARGV[2], ARGV[4] + 7
local owner, time, is_muting = redis.call('HGET', KEYS[5], 'owner'), redis.call('TIME'), redis.call('EXISTS', muted) == 1
local now_ms, targets, streams, result, finished = time[1] * 1000 + math.floor(time[2] / 1000), {answered = KEYS[2], dead = KEYS[3]}, {}, {}, false
redis.call('XTRIM', journal, 'MINID', '~', string.format('%.0f', now_ms - ARGV[3])) -- allowed out of memory
local function finish_window(stream, even, odd, conversation, token, first, outcome, value, who, mute)
  local found, code = redis.call('HGET', running, conversation), 0
  local record = found and cjson.decode(found)
  if not record or record.token ~= token then return {(found or #redis.call('XRANGE', stream, first, first) > 0) and 2 or 1, ''} end
  if is_muting and outcome == 'answered' and (tonumber(redis.pcall('ZSCORE', muted, conversation) or nil) or 0) > now_ms then outcome, code = 'muted', 4 end
  local ids, target, is_stream = table.concat(record.ids, ' '), targets[outcome], streams[stream] or redis.call('XLEN', stream)
  local id = target and redis.call('XADD', target, '*', 'm', value) or ''
  local row = redis.call('XADD', journal, '*', 'what', outcome, 'window', record.window_id, 'who', who, 'ids', ids, 'attempt', record.attempt, 'ref', id, 'opened', record.opened_at, 'closed', record.closed_at,
    'by', record.closed_by, 'started', record.started, 'failed', record.failed or '')
  if mute ~= '0' then redis.pcall('ZADD', muted, 'GT', string.format('%.0f', now_ms + mute), conversation) end
  redis.call('XACK', stream, group, unpack(record.ids))
  redis.call('XDEL', stream, unpack(record.ids))
  streams[stream], finished = is_stream, redis.call('HDEL', running, conversation)
  local even_ms, odd_ms = redis.call('PTTL', even), redis.call('PTTL', odd)
  local seen, field, last = even_ms > odd_ms and even or odd, string.match(record.stands_for or '', '(%S+) (%S+)')
  if even_ms + odd_ms > -4 then redis.pcall('HSET', seen, field or first, string.format('%.2s%s %s', outcome, target and id or row, #record.ids > 1 and record.ids[#record.ids] or last or '')) end
  return {code, id}
end
for i = 8, #KEYS do
  local at = i > windows and 4 * i - 5 * windows + 8 or 7 * i - 51
  if i <= windows then
    local ok, answer = pcall(finish_window, KEYS[i], KEYS[2 * i + windows - 15], KEYS[2 * i + windows - 14], unpack(ARGV, at, at + 6))
    result[i - 7] = ok and answer or {3, type(answer) == 'table' and answer.err or answer}
  elseif i > 3 * windows - 14 and result[tonumber(ARGV[at])][1] == 0 then
    redis.pcall('RPUSH', KEYS[i], ARGV[at + 1])
    redis.pcall('LTRIM', KEYS[i], -ARGV[at + 2], -1)
    redis.pcall('PEXPIRE', KEYS[i], ARGV[at + 3])
  end
end
if owner ~= ARGV[1] and finished then redis.pcall('XADD', bell, 'MAXLEN', '1', '*', 'r', '1') end
return result
