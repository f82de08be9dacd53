-- survey: how many entries streams hold, and how old the oldest of them is.
--
-- KEYS 1.. streams
-- Returns {how many entries, ms of the oldest one's id or -1}
--
-- A script, so that no message travels: an entry's id cannot be had without its value.

local total, oldest = 0, -1
for _, stream in ipairs(KEYS) do
  local count = redis.call('XLEN', stream)
  if count > 0 then
    total = total + count
    local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', '1')[1]
    local ms = tonumber(string.match(first[1], '^(%d+)'))
    if oldest < 0 or ms < oldest then
      oldest = ms
    end
  end
end
return {total, oldest}
