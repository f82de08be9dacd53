-- forget_rewrite: write a stream anew, so that what was deleted from it leaves Redis's memory.
--
-- KEYS 1 stream  STREAM  replies that are not sent, or dead letters: one that no group reads
-- ARGV 1 how many entries it may have
--      2 how many bytes they may hold
-- Returns 1 REWRITTEN | 0 AS_IT_WAS (too large: Redis would answer nobody for too long; or read by
--      a group, which would be lost)
--
-- XDEL only marks an entry: its bytes stay until all others of its page are deleted, too. The entries
-- keep their ids, and the last one that was ever given stays so. What can fail comes before DEL,
-- which is a write that is allowed while Redis is out of memory; after it no other is refused.

local stream, most, most_bytes = KEYS[1], tonumber(ARGV[1]), tonumber(ARGV[2])

if redis.call('EXISTS', stream) == 0 or redis.call('XLEN', stream) > most then
  return 0
end
local info, known = redis.call('XINFO', 'STREAM', stream), {}
for i = 1, #info, 2 do
  known[info[i]] = info[i + 1]
end
local last, entries, bytes, start = known['last-generated-id'], {}, 0, '-'
repeat
  local page = redis.call('XRANGE', stream, start, '+', 'COUNT', '20')
  for _, entry in ipairs(page) do
    entries[#entries + 1], start = entry, string.format('(%s', entry[1])
    for _, part in ipairs(entry[2]) do
      bytes = bytes + #part
    end
  end
until #page < 20 or bytes > most_bytes
if bytes > most_bytes or known.groups > 0 or not last then
  return 0
end

redis.call('DEL', stream)
for _, entry in ipairs(entries) do
  redis.call('XADD', stream, entry[1], unpack(entry[2]))
end
if #entries == 0 or entries[#entries][1] ~= last then
  redis.call('XADD', stream, last, 'm', '')
  redis.call('XDEL', stream, last)
end
return 1
