-- survey: how many entries streams hold, and how old the oldest of them is.
--
-- KEYS 1 pending  SET  instances with entries that were read; one that has none leaves it
--      2.. streams
-- ARGV 1.. instances of the first streams: those that ready or pending names
-- Returns {how many entries, ms of the oldest one's id or -1, {number of each other stream that
--      holds entries, from 1, ...}}
--
-- A script, so that no message travels: an entry's id cannot be had without its value. What is
-- written is a hint for later surveys: where Redis takes no writes, this one is as true.

local pending, total, oldest, others = KEYS[1], 0, -1, {}
for i = 2, #KEYS do
  local stream, instance = KEYS[i], ARGV[i - 1]
  local count = redis.call('XLEN', stream)
  if count > 0 then
    total = total + count
    local first = redis.call('XRANGE', stream, '-', '+', 'COUNT', '1')[1]
    local ms = tonumber(string.match(first[1], '^(%d+)'))
    if oldest < 0 or ms < oldest then
      oldest = ms
    end
    if not instance then
      others[#others + 1] = i - 1
    end
  elseif instance then
    redis.pcall('SREM', pending, instance)
  end
end
return {total, oldest, others}
