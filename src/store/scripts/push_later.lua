-- A notification that waits. Arguments: prefix, the entry's id in the queue, for how long (ms), its
-- JSON. It leaves the queue in the same step.

local clock = redis.call('TIME')
local due = clock[1] * 1000 + math.floor(clock[2] / 1000) + tonumber(ARGV[3])
local queue = ARGV[1] .. 'push:queue'

-- In a cluster, whose slot may be moving: see require_keys() in head.lua.
if #KEYS > 0 then
  redis.call('EXISTS', queue, ARGV[1] .. 'push:later')
end
-- The entry's id makes two notifications that read the same two members.
redis.call('ZADD', ARGV[1] .. 'push:later', string.format('%.0f', due), ARGV[2] .. ' ' .. ARGV[4])
redis.call('XACK', queue, 'push', ARGV[2])
redis.call('XDEL', queue, ARGV[2])
return 1
