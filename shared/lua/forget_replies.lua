-- forget_replies: delete replies that have not left, whoever is sending them.
--
-- KEYS 1 outbox   STREAM  replies that are not sent
--      2 sending  HASH    reply id -> record
--      3 lease    HASH    owner, epoch
--      4 bell     STREAM  length 1
-- ARGV 1 ids of the replies, with a space between them
-- Returns {now in ms, how many were deleted}
--
-- A send that is on its way is refused when it goes on or ends, for its record is gone. The owner is
-- fenced, as by forget_unfinished. PERSIST changes nothing; it is a write that is allowed while Redis
-- is out of memory.

local outbox, sending, lease = KEYS[1], KEYS[2], KEYS[3]
local time, count = redis.call('TIME'), 0
redis.call('PERSIST', sending)
for id in string.gmatch(ARGV[1], '%S+') do
  redis.call('HDEL', sending, id)
  count = count + redis.call('XDEL', outbox, id)
end
if count > 0 then
  if redis.call('EXISTS', lease) == 1 then
    redis.call('HSET', lease, 'epoch', '0')
  end
  redis.call('XADD', KEYS[4], 'MAXLEN', '1', '*', 'r', '1')
end
return {time[1] * 1000 + math.floor(time[2] / 1000), count}
