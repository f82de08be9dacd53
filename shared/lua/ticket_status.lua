-- ticket_status: a clinic's state, where a user stands in it, and the event that led to it.
--
-- KEYS 1 queue    HASH    last and called number, the one being served, sums of the day
--      2 numbers  HASH    user -> their newest number
--      3 events   STREAM  each change with the state after it
-- ARGV 1 user, or ''
-- Returns {{last, called, serving, finished, service_ms}, number of the user or 0, id of the last event}
--
-- It writes nothing. The id is 0-0 where nothing has ever happened.

local queue, numbers, events, user = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
local state = redis.call('HMGET', queue, 'last', 'called', 'serving', 'finished', 'service_ms')
for i = 1, 5 do
  state[i] = tonumber(state[i]) or 0
end
local number = tonumber(redis.call('HGET', numbers, user) or 0)
local newest = redis.call('XREVRANGE', events, '+', '-', 'COUNT', 1)
return {state, number, newest[1] and newest[1][1] or '0-0'}
