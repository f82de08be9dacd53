-- ticket_forget: take a user's name off their tickets; the numbers stay, for they are consecutive.
--
-- KEYS 1 tickets     HASH  number -> entered, called, served (ms, 0: not yet) and user
--      2 numbers     HASH  user -> their newest number
--      3 idempotent  HASH  hashed Idempotency-Key -> number; keys of done and reset -> 0
-- ARGV 1 user
-- Returns how many tickets bore the name
--
-- A number that waits is called like any other, and nobody comes. The keys that it was given for are
-- unknown from then on, so who enters again with one gets a number, and is not told that it is
-- another's. PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local tickets, numbers, idempotent, user, named = KEYS[1], KEYS[2], KEYS[3], ARGV[1], {}
local all = redis.call('HGETALL', tickets)
local keys = redis.call('HGETALL', idempotent)
redis.call('PERSIST', tickets)
redis.call('HDEL', numbers, user)
local count = 0
for i = 1, #all, 2 do
  local times, whose = string.match(all[i + 1], '^(%d+ %d+ %d+ )(.*)$')
  if whose == user then
    named[all[i]], count = true, count + 1
    redis.call('HSET', tickets, all[i], times)
  end
end
for i = 1, #keys, 2 do
  if named[keys[i + 1]] then
    redis.call('HDEL', idempotent, keys[i])
  end
end
return count
