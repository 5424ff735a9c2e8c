-- The other side of push_want.lua: somebody waits for this user. Arguments: prefix, the friend's id,
-- how many may wait for one, how long (s), who waits. Returns 1, or 0 past the limit.

local key = ARGV[1] .. 'push:waiting:' .. ARGV[2]

if redis.call('SCARD', key) >= tonumber(ARGV[3]) and redis.call('SISMEMBER', key, ARGV[5]) == 0 then
  return 0
end
redis.call('SADD', key, ARGV[5])
redis.call('EXPIRE', key, ARGV[4])
return 1
