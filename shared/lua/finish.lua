-- finish: record what became of windows and release their users.
--
-- KEYS 1 running  HASH    conversation -> record
--      2 outbox   STREAM  replies that are not sent
--      3 dead     STREAM  dead letters
--      4 journal  STREAM  what became of windows and replies
--      5 lease    HASH    owner, epoch
--      6 bell     STREAM  length 1
--      7.. a window's stream each; then a LIST, what was said, for each that is remembered
-- ARGV 1 worker id
--      2 group
--      3 retention_ms of the journal
--      4 windows
--      5.. six per window: conversation, token, id of the first entry, outcome (answered | dead |
--          silent | muted | with_human | missing), reply or dead letter or '', conversation's hash;
--          then four per list: its window's number, what to add, length and ms to keep
-- Returns {{code, text}, ...}, one pair per window:
--      0 FINISHED  the id of the reply or dead letter, or ''
--      1 ALREADY   record and first entry are gone: an earlier call did it, its answer was lost
--      2 REFUSED   the record has another token, or there is none
--      3 FAILED    the error; it touches no other window
--
-- Lua is not rolled back: what may fail comes before the writes, or each repetition would add a reply.
local running, journal, bell, group = KEYS[1], KEYS[4], KEYS[6], ARGV[2]
local targets, windows = {answered = KEYS[2], dead = KEYS[3]}, tonumber(ARGV[4])
local owner, result, finished = redis.call('HGET', KEYS[5], 'owner'), {}, false
local oldest = string.format('%.0f', redis.call('TIME')[1] * 1000 - ARGV[3])
redis.call('PERSIST', running) -- changes nothing, and is allowed out of memory
redis.call('XTRIM', journal, 'MINID', '~', oldest)
local function finish_window(stream, conversation, token, first, outcome, value, who)
  local found = redis.call('HGET', running, conversation)
  if not found and #redis.call('XRANGE', stream, first, first) == 0 then return {1, ''} end
  local record = found and cjson.decode(found)
  if not record or record.token ~= token then return {2, ''} end
  local ids, target = table.concat(record.ids, ' '), targets[outcome]
  redis.call('XLEN', stream)
  local id = target and redis.call('XADD', target, '*', 'm', value) or ''
  redis.call('XADD', journal, '*', 'what', outcome, 'window', record.window_id, 'who', who,
    'ids', ids, 'attempt', record.attempt, 'ref', id)
  redis.call('XACK', stream, group, unpack(record.ids))
  redis.call('XDEL', stream, unpack(record.ids))
  redis.call('HDEL', running, conversation)
  finished = true
  return {0, id}
end
for i = 7, #KEYS do
  local key, number = KEYS[i], i - 6
  local at = number > windows and 4 * number + 2 * windows + 1 or 6 * number - 1
  if number <= windows then
    local ok, answer = pcall(finish_window, key, unpack(ARGV, at, at + 5))
    result[number] = ok and answer or {3, type(answer) == 'table' and answer.err or answer}
  elseif result[tonumber(ARGV[at])][1] == 0 then
    redis.pcall('RPUSH', key, ARGV[at + 1])
    redis.pcall('LTRIM', key, -ARGV[at + 2], -1)
    redis.pcall('PEXPIRE', key, ARGV[at + 3])
  end
end
if finished and owner ~= ARGV[1] then redis.pcall('XADD', bell, 'MAXLEN', '1', '*', 'r', '1') end
return result
