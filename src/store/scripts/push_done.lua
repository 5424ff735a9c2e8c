-- Notifications that are over, one way or another. Arguments: prefix, the entries' ids in the queue.

local queue = ARGV[1] .. 'push:queue'

-- In a cluster, whose slot may be moving: see require_keys() in head.lua.
if #KEYS > 0 then
  redis.call('EXISTS', queue, KEYS[1])
end
for i = 2, #ARGV do
  redis.call('XACK', queue, 'push', ARGV[i])
  redis.call('XDEL', queue, ARGV[i])
end
return #ARGV - 1
