-- Adds what a process counted to what all did. Arguments: prefix, the process, for how many ms it counts as
-- alive (0: it ends), how many gauges there are; each gauge, then each counter: its name and its value or what
-- is to be added; of both what is new to Redis. Nothing that is wrong with figures may keep a call from being
-- answered, so there is no error.
-- Returns 0: it is not done; 1: it is; 2: it is, and what was told before is not here.

local prefix, process, ttl, gauges = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local figures, processes = prefix .. 'presence:figures', prefix .. 'presence:processes'
local own = figures .. ':' .. process
local counters = 5 + 2 * gauges
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function is_type(key, wanted)
  local found = redis.call('TYPE', key).ok
  return found == 'none' or found == wanted
end

local function may(command, key, ...)
  return redis.acl_check_cmd(command, key, ...)
end

if not (may('TYPE', figures) and may('EXISTS', figures) and may('ZSCORE', processes, 'p') and may('HINCRBY', figures, 'f', '1')
  and may('ZADD', processes, '0', 'p') and may('ZREM', processes, 'p') and may('ZRANGEBYSCORE', processes, '0', '1')
  and may('DEL', own) and may('HSET', own, 'f', '1') and may('PEXPIRE', own, '1'))
  or not (is_type(figures, 'hash') and is_type(own, 'hash') and is_type(processes, 'zset')) then
  return 0
end

-- In a cluster, whose slot may be moving: see require_keys() in head.lua.
if #KEYS > 0 and type(redis.pcall('EXISTS', figures, processes, own, KEYS[1])) == 'table' then
  return 0
end

-- The process' own Hash ends when it no longer counts as alive.
local were_here = redis.call('EXISTS', figures) == 1 and
  tonumber(redis.call('ZSCORE', processes, process) or 0) > now
for i = counters, #ARGV, 2 do
  redis.pcall('HINCRBY', figures, ARGV[i], ARGV[i + 1])
end
if ttl > 0 then
  redis.call('ZADD', processes, string.format('%.0f', now + ttl), process)
  if gauges > 0 then
    redis.call('HSET', own, unpack(ARGV, 5, counters - 1))
  end
  redis.call('PEXPIRE', own, ttl)
else
  redis.call('ZREM', processes, process)
  redis.call('DEL', own)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', processes, '-inf', string.format('%.0f', now), 'LIMIT', '0', '10')) do
  redis.call('ZREM', processes, gone)
end
return were_here and 1 or 2
