-- A notification for one user. Arguments: prefix, user id, how many may wait, "1" to queue it only if
-- the user has a subscription, its tag ("" = none), its id, how long the tag is kept (s), its JSON.
-- Returns 1, 0 without a subscription, -1 when too many wait.

local prefix, id, tag = ARGV[1], ARGV[2], ARGV[5]
local queue = prefix .. 'push:queue'

-- In a cluster, whose slot may be moving: see require_keys() in head.lua.
if #KEYS > 0 then
  redis.call('EXISTS', queue, prefix .. 'push:later', prefix .. 'push:subs:' .. id, prefix .. 'push:tag:' .. id .. '/' .. tag)
end
if ARGV[4] == '1' and redis.call('EXISTS', prefix .. 'push:subs:' .. id) == 0 then
  return 0
end
if redis.call('XLEN', queue) + redis.call('ZCARD', prefix .. 'push:later') >= tonumber(ARGV[3]) then
  return -1
end
if tag ~= '' then
  redis.call('SET', prefix .. 'push:tag:' .. id .. '/' .. tag, ARGV[6], 'EX', ARGV[7])
end
redis.call('XADD', queue, '*', 'job', ARGV[8])
return 1
