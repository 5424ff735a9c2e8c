-- Notifications that are over, one way or another. Arguments: prefix, the entries' ids in the queue.

local queue = ARGV[1] .. 'push:queue'

for i = 2, #ARGV do
  redis.call('XACK', queue, 'push', ARGV[i])
  redis.call('XDEL', queue, ARGV[i])
end
return #ARGV - 1
