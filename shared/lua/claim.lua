-- claim: take a page of a stream's pending entries over from whoever read them.
--
-- KEYS 1 lease   HASH    owner, epoch
--      2 stream  STREAM
--      3 ready   ZSET    instance -> ms
-- ARGV 1 worker id, also the consumer's name
--      2 epoch
--      3 group
--      4 cursor: '0-0' first, then what the last page returned
--      5 how many entries at most
--      6 it ends after so many bytes
--      7 instance
-- Returns {0 FENCED} or {code, next cursor ('0-0': the last page), entries, how many were missing,
--      {{worker, how many it had read}, ...} with the first page}; codes:
--      1 CLAIMED, or no stream; 2 NO_GROUP: it was lost, is there again from 0, the instance ready
--      3 REWOUND, with the last page: entries were not pending, nor the instance ready: as 2 now
--
-- What somebody deleted is acknowledged and counted as missing (6.2 returns nil). After the last
-- page, consumers that have nothing pending are removed. Min-idle 0: idle times lie after a clock
-- step. PERSIST is a write that is allowed while Redis is out of memory.
local held = redis.call('HMGET', KEYS[1], 'owner', 'epoch')
if held[1] ~= ARGV[1] or held[2] ~= ARGV[2] then return {0} end
local stream, ready, consumer, group, cursor, entries, missing = KEYS[2], KEYS[3], ARGV[1], ARGV[3], ARGV[4], {}, 0
local most, max_bytes, instance, asked, bytes, step = tonumber(ARGV[5]), tonumber(ARGV[6]), ARGV[7], 0, 0, 1
local readers = cursor == '0-0' and redis.pcall('XPENDING', stream, group)[4] or {}
local function read_anew(how, code)
  redis.call('PERSIST', stream)
  redis.pcall('XGROUP', how, stream, group, '0')
  redis.call('ZADD', ready, 'NX', redis.call('TIME')[1] * 1000, instance)
  return {code, '0-0', entries, missing, readers}
end
repeat
  local count, before = math.min(step, most - asked), #entries
  local page = redis.pcall('XAUTOCLAIM', stream, group, consumer, '0', cursor, 'COUNT', count)
  if page.err and not string.find(page.err, 'NOGROUP', 1, true) then return page end
  if page.err then
    return redis.call('EXISTS', stream) == 1 and read_anew('CREATE', 2) or {1, '0-0', {}, 0, {}}
  end
  missing = missing + (page[3] and #page[3] or 0)
  for _, entry in ipairs(page[2]) do
    if entry and entry[2] and #entry[2] > 0 then
      entries[#entries + 1], bytes = entry, bytes + #(entry[2][2] or '')
    end
  end
  if #entries - before < #page[2] then
    for _, row in ipairs(redis.call('XPENDING', stream, group, cursor, '+', count)) do
      local is_gone = #redis.call('XRANGE', stream, row[1], row[1]) == 0
      missing = missing + (is_gone and redis.call('XACK', stream, group, row[1]) or 0)
    end
  end
  cursor, asked, step = page[1], asked + count, math.min(2 * step, 16)
until cursor == '0-0' or asked >= most or bytes >= max_bytes
if cursor ~= '0-0' then return {1, cursor, entries, missing, readers} end
for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', stream, group)) do
  if info[4] == 0 and info[2] ~= consumer then redis.call('XGROUP', 'DELCONSUMER', stream, group, info[2]) end
end
local count = redis.call('XLEN', stream)
local is_listed = count == 0 or count <= redis.call('XPENDING', stream, group)[1] or redis.call('ZSCORE', ready, instance)
return is_listed and {1, cursor, entries, missing, readers} or read_anew('SETID', 3)
