-- remember: note a message that was handled while Redis was away, so that it is not again.
--
-- KEYS 1 even     HASH    seen: message hash -> entry id, and window -> ending, even generations
--      2 odd      HASH    the same, odd generations
--      3 outbox   STREAM  replies that are not sent
--      4 journal  STREAM  what became of windows and replies
--      5 bell     STREAM  length 1
-- ARGV 1 message hash, 12 bytes
--      2 an entry id that stands for the message; no entry has it
--      3 dedupe_ms: a generation's length
--      4 what: answered (the reply is still to be sent) | sent | silent
--      5 the reply (answered), else ''
--      6 window id
--      7 hash of the conversation, for the journal
--      8 retention_ms of the journal
-- Returns {0 REMEMBERED | 1 KNOWN, entry id}
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory. A known id
-- is written, too, the expiry that it has: WAIT and WAITAOF would else answer for nothing.

local outbox, journal, hash, entry, dedupe_ms = KEYS[3], KEYS[4], ARGV[1], ARGV[2], tonumber(ARGV[3])
local what, window, who = ARGV[4], ARGV[6], ARGV[7]

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local generation = math.floor(now_ms / dedupe_ms)
local seen, before = KEYS[1 + generation % 2], KEYS[2 - generation % 2]

local function expire(key, of)
  redis.call('PEXPIREAT', key, string.format('%.0f', (of + 2) * dedupe_ms))
end
for i, key in ipairs({seen, before}) do
  local known = redis.call('HGET', key, hash)
  if known then
    expire(key, generation + 1 - i)
    return {1, known}
  end
end

redis.call('PERSIST', outbox)
local ref = what == 'silent' and '' or entry
if what == 'answered' then
  ref = redis.call('XADD', outbox, '*', 'm', ARGV[5])
  redis.call('XADD', KEYS[5], 'MAXLEN', '1', '*', 'r', '1')
end
redis.call('HSET', seen, hash, entry)
expire(seen, generation)
local oldest = string.format('%.0f', now_ms - tonumber(ARGV[8]))
local row = redis.call('XADD', journal, 'MINID', '~', oldest, '*', 'what', what == 'sent' and 'answered' or what,
  'window', window, 'who', who, 'ids', entry, 'attempt', 1, 'ref', ref)
local ending = string.format('%.2s%s ', what, ref == '' and row or ref)
if what == 'sent' then
  local at = redis.call('XADD', journal, '*', 'what', what, 'window', window, 'who', who, 'ref', ref)
  ending = string.format('%s %s', ending, string.match(at, '%d+'))
end
redis.call('HSET', seen, entry, ending)
return {0, entry}
