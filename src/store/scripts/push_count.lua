-- Whether a user may get one more notification, which is counted then. Arguments: prefix, user id, how
-- many in how long (ms). Returns 1 or 0. The list has the times of the last ones, newest first.

local key = ARGV[1] .. 'presence:rate:push:' .. ARGV[2]
local limit, window = tonumber(ARGV[3]), tonumber(ARGV[4])
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
-- In a cluster, whose slot may be moving: see require_keys() in head.lua.
if #KEYS > 0 then
  redis.call('EXISTS', key, KEYS[1])
end
if redis.call('TYPE', key).ok ~= 'list' then
  redis.call('DEL', key) -- there is none, or something that is not ours
end
local first = tonumber(redis.call('LINDEX', key, limit - 1) or 0) or 0

if first > now - window then
  return 0
end
redis.call('LPUSH', key, string.format('%.0f', now))
redis.call('LTRIM', key, 0, limit - 1)
redis.call('PEXPIRE', key, window)
return 1
