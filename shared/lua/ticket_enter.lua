-- ticket_enter: give a user the next number, or tell the one that they have.
--
-- KEYS 1 queue       HASH    last and called number, the one being served, sums of the day
--      2 tickets     HASH    number -> entered, called, served (ms, 0: not yet) and user
--      3 numbers     HASH    user -> their newest number
--      4 idempotent  HASH    hashed Idempotency-Key -> number; keys of done and reset -> 0
--      5 events      STREAM  each change with the state after it
-- ARGV 1 user
--      2 hashed Idempotency-Key, or ''
--      3 how many may wait, 0: any number
--      4 how many events are kept
--      5 channel
--      6 clinic, for the channel
-- Returns {code, {last, called, serving, finished, service_ms}, number}
--      0 ENTERED    a new number
--      1 ALREADY    the user waits or is being served, or the key is known: nothing changed
--      2 FULL       too many wait
--      3 KEY_TAKEN  the key was used for another user
--
-- All keys are read before XADD, which refuses one of another type, and is what a full Redis refuses:
-- so nothing is written by halves. What is known is written again: WAIT would else answer for nothing.

local queue, tickets, numbers, idempotent, events = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local user, key, waiting_max, channel = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[5]
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))

local state = redis.call('HMGET', queue, 'last', 'called', 'serving', 'finished', 'service_ms', 'seq')
for i = 1, 6 do
  state[i] = tonumber(state[i]) or 0
end
local last, called, serving, finished, service_ms, seq = unpack(state)
local has = tonumber(redis.call('HGET', numbers, user) or 0)
local known = tonumber(redis.call('HGET', idempotent, key) or -1)
local whose = string.match(redis.call('HGET', tickets, math.max(known, 0)) or '', '^%d+ %d+ %d+ (.*)$')

if known >= 0 and whose ~= user then return {3, state, known} end
if known < 0 and (has > called or has > 0 and has == serving) then known = has end
if known > 0 then
  redis.call('PERSIST', queue) -- changes nothing, and is allowed out of memory
  redis.call('HSET', numbers, user, math.max(has, known))
  if key ~= '' then redis.call('HSET', idempotent, key, known) end
  return {1, state, known}
end
if waiting_max > 0 and last - called >= waiting_max then return {2, state, 0} end

state[1] = last + 1
redis.call('XADD', events, 'MAXLEN', '~', ARGV[4], '*', 'type', 'entered', 'number', last + 1, 'seq', seq + 1, 'at', now,
  'last', last + 1, 'called', called, 'serving', serving, 'finished', finished, 'service_ms', service_ms)
redis.call('HSET', tickets, last + 1, table.concat({now, 0, 0, user}, ' '))
redis.call('HSET', numbers, user, last + 1)
if key ~= '' then redis.call('HSET', idempotent, key, last + 1) end
redis.call('HSET', queue, 'last', last + 1, 'seq', seq + 1)
redis.call('HSETNX', queue, 'began', now)
redis.pcall('PUBLISH', channel, ARGV[6])
return {0, state, last + 1}
