-- All figures of one partition, of the first one also those of the processes. Argument: prefix.
-- Returns {users online, transitions, push outcomes, notifications to be sent, that wait, the shared
-- counters, then for each process its name and its gauges}; Hashes as HGETALL gives them. What the rights lack,
-- or is not ours, is 0 or empty.

local prefix = ARGV[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local PROCESSES_MAX = '1000'

local function number(command, name)
  local value = redis.pcall(command, prefix .. name)
  return type(value) == 'number' and value or 0
end

local function list(command, key, ...)
  local value = redis.pcall(command, prefix .. key, ...)
  return value.err and {} or value
end

-- In a cluster, whose slot may be moving: see require_keys() in head.lua. Rights that lack are no such thing.
if #KEYS > 0 then
  local found = redis.pcall('EXISTS', prefix .. 'online_users', prefix .. 'presence:transitions', prefix .. 'push:outcomes',
    prefix .. 'push:queue', prefix .. 'push:later', prefix .. 'presence:figures', prefix .. 'presence:processes', KEYS[1])
  if type(found) == 'table' and not found.err:find('^NOPERM') then
    return found
  end
end

local answer = {
  number('SCARD', 'online_users'),
  list('HGETALL', 'presence:transitions'),
  list('HGETALL', 'push:outcomes'),
  number('XLEN', 'push:queue'),
  number('ZCARD', 'push:later'),
  list('HGETALL', 'presence:figures'),
}
for _, process in ipairs(list('ZRANGEBYSCORE', 'presence:processes', string.format('(%.0f', now), '+inf', 'LIMIT', '0',
  PROCESSES_MAX)) do
  answer[#answer + 1] = process
  answer[#answer + 1] = list('HGETALL', 'presence:figures:' .. process)
end
return answer
