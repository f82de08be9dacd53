-- ticket_done: the number that is served is finished, and the next one is called.
--
-- KEYS 1 queue       HASH    last and called number, the one being served, sums of the day
--      2 tickets     HASH    number -> entered, called, served (ms, 0: not yet) and user
--      3 idempotent  HASH    hashed Idempotency-Key -> number; keys of done and reset -> 0
--      4 events      STREAM  each change with the state after it
-- ARGV 1 hashed Idempotency-Key, or ''
--      2 how many events are kept
--      3 channel
--      4 clinic, for the channel
-- Returns {code, {last, called, serving, finished, service_ms}, finished number or 0, ms waited or -1}
--      0 DONE     somebody was finished or called; ms waited is of who was called
--      1 ALREADY  the key is known: nothing changed
--      2 EMPTY    nobody is served and nobody waits: nothing changed
--
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory. All keys are
-- read before it, so that one of another type stops the script whole.

local queue, tickets, idempotent, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local key, channel = ARGV[1], ARGV[3]
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local now = string.format('%.0f', now_ms)

local state = redis.call('HMGET', queue, 'last', 'called', 'serving', 'finished', 'service_ms', 'wait_ms', 'seq')
for i = 1, 7 do
  state[i] = tonumber(state[i]) or 0
end
local last, called, serving, finished, service_ms, wait_ms, seq = unpack(state)
local is_known, _ = redis.call('HEXISTS', idempotent, key) == 1, redis.call('XLEN', events)
local function ticket(number)
  local entered, begun, _, user = string.match(redis.call('HGET', tickets, number) or '', '^(%d+) (%d+) (%d+) (.*)$')
  return {entered or now, begun or now, now, user or ''}
end
local before, next_one, waited = ticket(serving), ticket(called + 1), -1

redis.call('PERSIST', queue)
if key ~= '' then redis.call('HSET', idempotent, key, 0) end
if is_known or serving == 0 and called == last then return {is_known and 1 or 2, state, 0, -1} end
if serving > 0 then
  finished, service_ms = finished + 1, service_ms + math.max(0, now_ms - before[2])
end
local ended, calls = serving, called < last
serving = calls and called + 1 or 0
called = calls and serving or called
if calls then waited = math.max(0, now_ms - next_one[1]) end
redis.call('XADD', events, 'MAXLEN', '~', ARGV[2], '*', 'type', 'done', 'number', ended, 'seq', seq + 1, 'at', now,
  'last', last, 'called', called, 'serving', serving, 'finished', finished, 'service_ms', service_ms)
if ended > 0 then redis.call('HSET', tickets, ended, table.concat(before, ' ')) end
if calls then redis.call('HSET', tickets, called, table.concat({next_one[1], now, 0, next_one[4]}, ' ')) end
redis.call('HSET', queue, 'called', called, 'serving', serving, 'finished', finished, 'service_ms', service_ms,
  'wait_ms', wait_ms + math.max(0, waited), 'seq', seq + 1)
redis.pcall('PUBLISH', channel, ARGV[4])
return {0, {last, called, serving, finished, service_ms}, ended, waited}
