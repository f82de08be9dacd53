-- discard: throw a reply away that is not being sent, and say so in the journal.
--
-- KEYS 1 sending  HASH    reply id -> record
--      2 outbox   STREAM  replies that are not sent
--      3 journal  STREAM  what became of windows and replies
--      4 bell     STREAM  length 1
--      5 even     HASH    the conversation's seen, even generations: message hash -> entry id, and
--                         window -> ending
--      6 odd      HASH    the same, odd generations
-- ARGV 1 reply id
--      2 window id
--      3 hash of the conversation
--      4 hash of the window's first message
-- Returns 0 DISCARDED | 1 GONE (it is not in the outbox) | 2 SENDING (a worker has it in hand)
--
-- An ending that says answered is told it, last: nothing hangs on that. A record that cannot be read
-- goes with the reply. The first XDEL deletes nothing: it is a write that is allowed while Redis is
-- out of memory, and a user who may not delete here hears of it before anything is said.

local sending, outbox, id = KEYS[1], KEYS[2], ARGV[1]

if #redis.call('XRANGE', outbox, id, id) == 0 then
  return 1
end
local found = redis.call('HGET', sending, id)
local is_read, record = pcall(cjson.decode, found or '{}')
if is_read and (record.worker or '') ~= '' then
  return 2
end
redis.call('XDEL', outbox, '0-0')
local row = redis.call('XADD', KEYS[3], '*', 'what', 'discarded', 'window', ARGV[2],
  'who', ARGV[3], 'ref', id)
redis.call('XDEL', outbox, id)
redis.call('HDEL', sending, id)
redis.call('XADD', KEYS[4], 'MAXLEN', '1', '*', 'r', '1')

local even, odd, hash, answered = KEYS[5], KEYS[6], ARGV[4], string.format('an%s ', id)
local first = redis.pcall('HGET', even, hash) or redis.pcall('HGET', odd, hash)
for _, seen in ipairs(type(first) == 'string' and {even, odd} or {}) do
  local ending = redis.pcall('HGET', seen, first)
  if type(ending) == 'string' and string.sub(ending, 1, #answered) == answered then
    local ended = string.format('%.2s%s %s', 'discarded', string.sub(ending, 3), string.match(row, '%d+'))
    redis.pcall('HSET', seen, first, ended)
  end
end
return 0
