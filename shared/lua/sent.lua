-- sent: a reply has left; move it from the outbox to the journal.
--
-- KEYS 1 sending  HASH    reply id -> record
--      2 outbox   STREAM  replies that are not sent
--      3 journal  STREAM  what became of windows and replies
--      4 lease    HASH    owner, epoch
--      5 bell     STREAM  length 1
--      6 even     HASH    the conversation's seen, even generations: message hash -> entry id, and
--                         window -> ending
--      7 odd      HASH    the same, odd generations
-- ARGV 1 reply id
--      2 token, or '' for a reply whose sending never began
--      3 worker id
--      4 what: sent | kept (there is no channel, and its time to be read is over)
--      5 window id
--      6 hash of the conversation
--      7 retention_ms of the journal
--      8 hash of the window's first message
-- Returns 0 DONE | 1 ALREADY | 2 REFUSED
--
-- An ending that says answered is told what became of the reply; nothing hangs on it, so it comes last.
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local sending, outbox, id, token, what = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[4]

local found = redis.call('HGET', sending, id)
if not found and #redis.call('XRANGE', outbox, id, id) == 0 then
  return 1
end
if (found and cjson.decode(found).token or '') ~= token then
  return 2
end
redis.call('PERSIST', sending)
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = string.format('%.0f', now_ms - tonumber(ARGV[7]))
local row = redis.call('XADD', KEYS[3], 'MINID', '~', oldest, '*', 'what', what, 'window', ARGV[5],
  'who', ARGV[6], 'ref', id)
redis.call('XDEL', outbox, id)
redis.call('HDEL', sending, id)
if redis.call('HGET', KEYS[4], 'owner') ~= ARGV[3] then
  redis.call('XADD', KEYS[5], 'MAXLEN', '1', '*', 'r', '1')
end

local even, odd, hash, answered = KEYS[6], KEYS[7], ARGV[8], string.format('an%s ', id)
local first = redis.pcall('HGET', even, hash) or redis.pcall('HGET', odd, hash)
for _, seen in ipairs(type(first) == 'string' and {even, odd} or {}) do
  local ending = redis.pcall('HGET', seen, first)
  if type(ending) == 'string' and string.sub(ending, 1, #answered) == answered then
    local ended = string.format('%.2s%s %s', what, string.sub(ending, 3), string.match(row, '%d+'))
    redis.pcall('HSET', seen, first, ended)
  end
end
return 0
