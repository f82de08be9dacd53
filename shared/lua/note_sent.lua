-- note_sent: remember the ids of texts that have left, so that their echoes are known as ours.
--
-- KEYS 1 human  HASH  of the conversation: since when which send is on its way, and what came; see
--             echo and send
--      2.. two per id: the HASH id hash -> '' of even and the same of odd generations
-- ARGV 1 span_ms: a generation's length; an id is remembered for one to two of them
--      2 keep_ms: how long to keep what is in human; a longer time that it has stays
--      3 token of the send that has ended; '' for none
--      4 1: something may have left whose id is not known; else 0
--      5 doubt_ms: how long then an echo of it may still come
--      6.. one per id: its hash, 12 bytes
-- Returns 0 NOTED
--
-- What came while a send was on its way (it has a minus), and is none of its ids, is a person's; but
-- where not all of its ids are known, nobody knows whose, and it is forgotten. A repeated call
-- changes nothing. PEXPIRE is a write that is allowed while Redis is out of memory. A key that
-- somebody else wrote, with another type, holds no reply up.

local human, span_ms, token, doubt_ms = KEYS[1], tonumber(ARGV[1]), ARGV[3], tonumber(ARGV[5])
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local generation = math.floor(now_ms / span_ms)
local odd, expiry = generation % 2, string.format('%.0f', (generation + 2) * span_ms)
redis.call('PEXPIRE', human, math.max(tonumber(ARGV[2]), redis.call('PTTL', human)))

for i = 2, #KEYS, 2 do
  local ids, hash = KEYS[i + odd], ARGV[5 + i / 2]
  redis.pcall('HSET', ids, hash, '')
  redis.call('PEXPIREAT', ids, expiry)
  redis.pcall('HDEL', human, hash)
end

local flight = redis.pcall('HMGET', human, 'token', 'unsure')
if token == '' or flight[1] ~= token then
  return 0
end
local unsure, known = ARGV[4] == '1' or flight[2], redis.call('HGETALL', human)
for i = 1, #known, 2 do
  local field, came = known[i], known[i + 1]
  if #field == 12 and string.sub(came, 1, 1) == '-' then
    if unsure then
      redis.call('HDEL', human, field)
    else
      redis.call('HSET', human, field, string.sub(came, 2))
    end
  end
end
if unsure then
  redis.call('HSET', human, 'doubt', string.format('%.0f', now_ms + doubt_ms))
end
redis.call('HDEL', human, 'token', 'since', 'unsure')
return 0
