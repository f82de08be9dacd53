-- The webhooks that wrk sends: every one a new message, of one of many users.
--
-- wrk ... <url> -- <template> <path> <secret> <first message> <users>
-- Prints as its last line: requests, refused, failed, seconds, p99 ms.

local before_user, before_message, rest, path, headers, message, users

function init(args)
  local file = assert(io.open(args[1], "rb"))
  local template = file:read("*a")
  file:close()
  before_user, before_message, rest = template:match("^(.*)@USER@(.*)@MESSAGE@(.*)$")
  path, message, users = args[2], tonumber(args[4]), tonumber(args[5])
  headers = { ["Content-Type"] = "application/json", ["apikey"] = args[3] }
end

function request()
  message = message + 1
  -- a stride that shares no factor with the number of users visits all of them
  local user = (message * 7919) % users
  local body = before_user .. string.format("551198%07d", user) .. before_message
    .. string.format("3EB0%016X", message) .. rest
  return wrk.format("POST", path, headers, body)
end

function done(summary, latency)
  local errors = summary.errors
  local failed = errors.connect + errors.read + errors.write + errors.timeout
  io.write(string.format("%d %d %d %.6f %.3f\n", summary.requests, errors.status, failed,
    summary.duration / 1e6, latency:percentile(99) / 1000))
end
