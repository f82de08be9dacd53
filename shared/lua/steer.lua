-- steer: set, or take back, what holds for an instance at run time.
--
-- KEYS 1 settings  HASH  <instance> NUL <name> -> since when in ms, space, value; revision
-- ARGV 1 revision: a text that no other change has
--      2 the field that holds when the instance last changed
--      3 JSON list of field and value by turns, all texts; an empty value takes it back
-- Returns how many values have changed
--
-- A value that stands there already keeps its time: a call whose answer was lost may come again.
-- PERSIST changes nothing; it is a write that is allowed while Redis is out of memory.

local settings, revision, changed_at = KEYS[1], ARGV[1], ARGV[2]
local changes, changed = cjson.decode(ARGV[3]), 0
local time = redis.call('TIME')
local now_ms = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000))
redis.call('PERSIST', settings)
for i = 1, #changes, 2 do
  local field, value = changes[i], changes[i + 1]
  if value == '' then
    changed = changed + redis.call('HDEL', settings, field)
  else
    local known = redis.call('HGET', settings, field)
    if not known or string.match(known, '^%d+ (.*)$') ~= value then
      redis.call('HSET', settings, field, string.format('%s %s', now_ms, value))
      changed = changed + 1
    end
  end
end
if changed > 0 then
  redis.call('HSET', settings, 'revision', revision, changed_at, now_ms)
end
return changed
