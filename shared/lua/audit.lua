-- audit: how many entries of a stream are pending, and how many nobody would ever read.
--
-- KEYS 1 stream  STREAM
--      2 ready   ZSET    instance -> ms
-- ARGV 1 group
--      2 instance
-- Returns {pending, unlisted: neither pending, nor in a stream that is ready}, or the error
--
-- Each of our scripts leaves an entry in one of the two or deletes it, and a read that takes a
-- stream out of ready has made all of it pending. So a stream that is not ready holds no more than
-- is pending. Only what is there is counted: a group's lag and entries-read err where one was
-- deleted. Pending ids whose entries somebody deleted hide as many, until they are claimed.

local pending = redis.pcall('XPENDING', KEYS[1], ARGV[1])
if pending.err then
  return pending
end
local others = redis.call('XLEN', KEYS[1]) - pending[1]
local is_listed = others <= 0 or redis.call('ZSCORE', KEYS[2], ARGV[2])
return {pending[1], is_listed and 0 or others}
