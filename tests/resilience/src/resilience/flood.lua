-- wrk -s flood.lua URL -- FILE ENVIRONMENT PAUSE: posts the lines of FILE, each a JSON body, in turn; after each answer a
-- connection pauses for PAUSE milliseconds, so that the requests a second are the connections that wait for no answer,
-- over the pause. What is answered is counted by the gateway: a look at each answer here would slow the flood down.

local requests = {}
local sent = 0
local pause = 0

function init(args)
  local headers = { ["Content-Type"] = "application/json", ["X-Environment"] = args[2] }
  for body in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format("POST", nil, headers, body)
  end
  pause = tonumber(args[3])
end

function request()
  sent = sent % #requests + 1
  return requests[sent]
end

function delay()
  return pause
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "statuses": %d, "connects": %d, "reads": %d, "writes": %d, "timeouts": %d, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests, errors.status, errors.connect, errors.read, errors.write, errors.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
  ))
end
