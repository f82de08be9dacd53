-- replay: turn a dead letter into an entry that carries the whole window.
--
-- KEYS 1 dead     STREAM  dead letters
--      2 stream   STREAM  the instance's entries in this partition
--      3 streams  SET     instances that have a stream here
--      4 ready    ZSET    instance -> ms
--      5 bell     STREAM  length 1
-- ARGV 1 id of the dead letter
--      2 instance
--      3 the entry's value
--      4 group
-- Returns the new entry's id, or nil when there is no such dead letter (replayed already)
--
-- The first XDEL deletes nothing: it is a write that is allowed while Redis is out of memory, and a
-- user who may not delete here hears of it before the window is in two places.

local dead, stream, streams, ready, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local letter, instance, value, group = ARGV[1], ARGV[2], ARGV[3], ARGV[4]

if #redis.call('XRANGE', dead, letter, letter) == 0 then
  return false
end
redis.call('XDEL', dead, '0-0')
local id = redis.call('XADD', stream, '*', 'm', value)
redis.call('XDEL', dead, letter)
redis.call('SADD', streams, instance)
redis.pcall('XGROUP', 'CREATE', stream, group, '0')
local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', ready, 'NX', string.format('%.0f', now_ms), instance)
redis.call('XADD', bell, 'MAXLEN', '1', '*', 'r', '1')
return id
