-- remove_stream: delete a stream that nothing can still refer to.
--
-- KEYS 1 stream   STREAM
--      2 streams  SET   instances that have a stream here
--      3 ready    ZSET  instance -> ms
-- ARGV 1 instance
--      2 group
--      3 dedupe_ms: how long it must have been without entries
-- Returns 1 REMOVED | 0 IN_USE
--
-- Owners ask for their idle streams again and again: what most often says no comes first.

local stream, streams, ready = KEYS[1], KEYS[2], KEYS[3]
local instance, group, dedupe_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])

local info = redis.pcall('XINFO', 'STREAM', stream)
if not info.err then
  local last_ms, length = 0, 0
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last_ms = tonumber(string.match(info[i + 1], '^(%d+)'))
    elseif info[i] == 'length' then
      length = info[i + 1]
    end
  end
  local time = redis.call('TIME')
  if length > 0 or time[1] * 1000 - last_ms < dedupe_ms or redis.call('ZSCORE', ready, instance) then
    return 0
  end
  local pending = redis.pcall('XPENDING', stream, group)
  if not pending.err and pending[1] > 0 then
    return 0
  end
elseif redis.call('EXISTS', stream) == 1 then
  return info
end
redis.call('DEL', stream)
redis.call('SREM', streams, instance)
redis.call('ZREM', ready, instance)
return 1
