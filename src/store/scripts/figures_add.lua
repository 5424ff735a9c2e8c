-- Adds what a process counted to what all did. Arguments: prefix, the process, for how many ms it counts as
-- alive (0: it ends), its start, the batch's number, how many gauges there are; each gauge, then each counter:
-- its name and its value or what is to be added; of both what is new to Redis. Nothing that is wrong with figures
-- may keep a call from being answered, so there is no error.
-- A process that got no answer says the same batch again, maybe after the lost one was done: a batch is done once.
-- Its number is kept beside the counters, to be lost with them, for BATCH_KEPT ms after the process' time.
-- Returns 0: it is not done; 1: it is; 2: it is, and what was told before is not here, or may not be.

local BATCH_KEPT = 600000
local prefix, process, ttl, start, batch = ARGV[1], ARGV[2], tonumber(ARGV[3]), ARGV[4], tonumber(ARGV[5])
local gauges = tonumber(ARGV[6])
local figures, processes = prefix .. 'presence:figures', prefix .. 'presence:processes'
local own = figures .. ':' .. process
local counters = 7 + 2 * gauges
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
  and may('HGET', figures, 'f') and may('HSET', figures, 'f', '1') and may('HDEL', figures, 'f')
  and may('ZADD', processes, '0', 'p') and may('ZREM', processes, 'p') and may('ZRANGEBYSCORE', processes, '0', '1')
  and may('DEL', own) and may('HSET', own, 'f', '1') and may('PEXPIRE', own, '1'))
  or not (is_type(figures, 'hash') and is_type(own, 'hash') and is_type(processes, 'zset')) then
  return 0
end

-- In a cluster, whose slot may be moving: see require_keys() in head.lua.
if #KEYS > 0 and type(redis.pcall('EXISTS', figures, processes, own, KEYS[1])) == 'table' then
  return 0
end

local function last(of)
  return 'batch|' .. of
end

local function forget(gone)
  redis.call('ZREM', processes, gone)
  redis.call('HDEL', figures, last(gone))
end

-- The process' own Hash ends when it no longer counts as alive.
local were_here = redis.call('EXISTS', figures) == 1 and
  tonumber(redis.call('ZSCORE', processes, process) or 0) > now
local last_start, last_batch = string.match(redis.call('HGET', figures, last(process)) or '', '^(%S+) (%d+)$')
local is_again = last_start == start and batch <= tonumber(last_batch)
if not is_again then
  for i = counters, #ARGV, 2 do
    redis.pcall('HINCRBY', figures, ARGV[i], ARGV[i + 1])
  end
end
if ttl > 0 then
  redis.call('HSET', figures, last(process), start .. ' ' .. ARGV[5])
  redis.call('ZADD', processes, string.format('%.0f', now + ttl), process)
  if gauges > 0 then
    redis.call('HSET', own, unpack(ARGV, 7, counters - 1))
  end
  redis.call('PEXPIRE', own, ttl)
else
  forget(process)
  redis.call('DEL', own)
end
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', processes, '-inf', string.format('%.0f', now - BATCH_KEPT), 'LIMIT', '0',
  '10')) do
  forget(gone)
end
return were_here and not is_again and 1 or 2
