-- wrk -s wrk.lua URL -- FILE SHARE DELAY: posts the lines of FILE, each a JSON body, one after the other and round again.
-- One wrk thread only: its connections share the counter, so that they never send the same mail in step.
-- SHARE of the requests have a sampled traceparent, sixteen in a row; none of them where it is 0.
-- Each connection pauses for DELAY milliseconds before a request, on average, where it is more than 0.

local RUN = 16
local HEADERS = { ["Content-Type"] = "application/json" }

local bodies = {}
local requests = {}
local sent = 0
local period = 0

function init(args)
  for body in io.lines(args[1]) do
    bodies[#bodies + 1] = body
    requests[#requests + 1] = wrk.format("POST", nil, HEADERS, body)
  end
  local share = tonumber(args[2] or "0")
  if share > 0 then
    period = math.floor(RUN / share + 0.5)
  end
  local pause = tonumber(args[3] or "0")
  if pause > 0 then
    -- At random, or all connections would ask in step.
    function delay()
      return math.random(0, 2 * pause)
    end
  end
end

function request()
  sent = sent + 1
  local line = (sent - 1) % #requests + 1
  -- From the middle of a period on: a load of two and a half has two runs.
  if period > 0 and (sent + math.floor(period / 2)) % period < RUN then
    local parent = string.format("00-%016x%016x-%016x-01", os.time(), sent, sent)
    return wrk.format("POST", nil, { ["Content-Type"] = HEADERS["Content-Type"], ["traceparent"] = parent }, bodies[line])
  end
  return requests[line]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "status_errors": %d, "socket_errors": %d, "seconds": %.6f, "p50_ms": %.3f, "p99_ms": %.3f}\n',
    summary.requests,
    errors.status,
    errors.connect + errors.read + errors.write + errors.timeout,
    summary.duration / 1e6,
    latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3
  ))
end
