-- For wrk: wrk … -s rest.lua http://127.0.0.1:PORT -- single|batch|floor|hello|bare|empty TOKENS
-- Each request is the next user's; the requests are made beforehand.

local requests, next_request = {}, 0

local function batch(first)
  local ids = {}
  for i = 1, 100 do
    ids[i] = first + i
  end
  return '{"user_ids":[' .. table.concat(ids, ',') .. ']}'
end

local make = {
  single = function(id, headers)
    return wrk.format('GET', '/api/online-status/user/' .. id + 1, headers)
  end,
  batch = function(id, headers)
    headers['Content-Type'] = 'application/json'
    return wrk.format('POST', '/api/online-status/users', headers, batch(id))
  end,
}

for _, floor in ipairs({'floor', 'hello', 'bare', 'empty'}) do
  make[floor] = function(id, headers)
    return wrk.format('GET', '/' .. floor .. '/online-status/user/' .. id + 1, headers)
  end
end

function init(args)
  local id = 0
  for token in io.lines(args[2]) do
    id = id + 1
    requests[id] = make[args[1]](id, {['Authorization'] = 'Bearer ' .. token, ['Host'] = 'localhost'})
  end
end

function request()
  next_request = next_request % #requests + 1
  return requests[next_request]
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format('rest requests=%d seconds=%.6f errors=%d p50_us=%d p99_us=%d\n',
    summary.requests, summary.duration / 1e6,
    errors.status + errors.connect + errors.read + errors.write + errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
