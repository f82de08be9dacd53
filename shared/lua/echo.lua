-- echo: tell what inturn sent from what a person wrote by hand, of messages that left an account.
--
-- KEYS 1.. three per message: human, HASH of its conversation (id hash -> ms when it came, with a
--          minus while a send is on its way; and token, since, unsure, doubt: see send and
--          note_sent); the HASH of ids that were sent, of even and of odd generations
-- ARGV 1 causes_max: so many persons' messages of a conversation are kept, the newest
--      2.. two per message: its id's hash, 12 bytes; keep_ms: how long to keep that a person wrote,
--          or 0 where nobody asks
-- Returns a number per message: 0 OURS | 1 HUMAN
--
-- OURS is also what nobody can tell, in the time after a send whose ids are not all known. A
-- message that comes twice is kept as of the first time. PEXPIRE is a write that is allowed while
-- Redis is out of memory.

local causes_max, time = tonumber(ARGV[1]), redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function forget_oldest(human)
  local known, oldest, oldest_ms, count = redis.call('HGETALL', human), nil, math.huge, 0
  for i = 1, #known, 2 do
    local came_ms = #known[i] == 12 and math.abs(tonumber(known[i + 1]) or 0)
    if came_ms then
      count = count + 1
      if came_ms < oldest_ms then
        oldest, oldest_ms = known[i], came_ms
      end
    end
  end
  if count > causes_max then
    redis.call('HDEL', human, oldest)
  end
end

local answers = {}
for i = 1, #KEYS, 3 do
  local human, even, odd = KEYS[i], KEYS[i + 1], KEYS[i + 2]
  local at = 2 * (i - 1) / 3 + 2
  local hash, keep_ms, code = ARGV[at], ARGV[at + 1], 1
  if redis.call('HEXISTS', even, hash) == 1 or redis.call('HEXISTS', odd, hash) == 1 then
    code = 0
  elseif keep_ms ~= '0' then
    if now_ms <= tonumber(redis.call('HGET', human, 'doubt') or 0) then
      code = 0
    else
      redis.call('PEXPIRE', human, keep_ms)
      local came_ms = redis.call('HEXISTS', human, 'since') == 1 and -now_ms or now_ms
      redis.call('HSETNX', human, hash, string.format('%.0f', came_ms))
      redis.call('PEXPIRE', human, keep_ms)
      forget_oldest(human)
    end
  end
  answers[#answers + 1] = code
end
return answers
