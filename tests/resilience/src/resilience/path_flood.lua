-- wrk -s path_flood.lua URL -- METHOD PATH BODY HEADER VALUE HEADER VALUE …: sends the same request again and again;
-- a BODY of @FILE is what the file holds.

local made = nil

function init(args)
  local headers = {}
  for i = 4, #args, 2 do
    headers[args[i]] = args[i + 1]
  end
  local body = nil
  if args[3]:sub(1, 1) == "@" then
    body = io.open(args[3]:sub(2), "rb"):read("*a")
  elseif args[3] ~= "" then
    body = args[3]
  end
  made = wrk.format(args[1], args[2], headers, body)
end

function request()
  return made
end

function done(summary)
  io.write(string.format('{"requests": %d}\n', summary.requests))
end
