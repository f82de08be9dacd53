-- ticket_reset: end a clinic's day: numbers begin at 1 again, and what the day came to is kept.
--
-- KEYS 1 queue       HASH    last and called number, the one being served, sums of the day
--      2 tickets     HASH    number -> entered, called, served (ms, 0: not yet) and user
--      3 numbers     HASH    user -> their newest number
--      4 idempotent  HASH    hashed Idempotency-Key -> number; keys of done and reset -> 0
--      5 days        LIST    began, ended, last, called, finished, service_ms, wait_ms of each
--      6 events      STREAM  each change with the state after it
-- ARGV 1 hashed Idempotency-Key, or ''
--      2 how many events are kept
--      3 how many days are kept
--      4 channel
--      5 clinic, for the channel
-- Returns {code, {last, called, serving, finished, service_ms}, number that was being served or 0}
--      0 RESET
--      1 ALREADY  the key is known, or nobody has entered since the last reset: nothing changed
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory. All keys that
-- it adds to are read before it, so that one of another type stops the script whole. What changes
-- nothing is written, too: WAIT would else answer for nothing.

local queue, tickets, numbers, idempotent, days, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local key, channel = ARGV[1], ARGV[4]
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local state = redis.call('HMGET', queue, 'last', 'called', 'serving', 'finished', 'service_ms', 'wait_ms', 'seq', 'began')
for i = 1, 8 do
  state[i] = tonumber(state[i]) or 0
end
local last, called, serving, finished, service_ms, wait_ms, seq, began = unpack(state)
local is_known = redis.call('HEXISTS', idempotent, key) == 1
local _, _ = redis.call('LLEN', days), redis.call('XLEN', events)

redis.call('PERSIST', queue)
if is_known or last == 0 then
  redis.call('HSET', queue, 'seq', seq)
  if key ~= '' then redis.call('HSET', idempotent, key, 0) end
  return {1, state, 0}
end
redis.call('XADD', events, 'MAXLEN', '~', ARGV[2], '*', 'type', 'reset', 'number', 0, 'seq', seq + 1, 'at', now,
  'last', 0, 'called', 0, 'serving', 0, 'finished', 0, 'service_ms', 0)
redis.call('RPUSH', days, table.concat({string.format('%.0f', began), now, last, called, finished,
  string.format('%.0f', service_ms), string.format('%.0f', wait_ms)}, ' '))
redis.call('LTRIM', days, -ARGV[3], -1)
redis.call('UNLINK', queue, tickets, numbers, idempotent)
redis.call('HSET', queue, 'seq', seq + 1)
if key ~= '' then redis.call('HSET', idempotent, key, 0) end
redis.pcall('PUBLISH', channel, ARGV[5])
return {0, {0, 0, 0, 0, 0}, serving}
