-- A user wants to be told when a friend comes online. Arguments: prefix, user id, how many friends a
-- user may wait for, how long (s), the friend's id, the friend's name. Returns 1, or 0 past the limit.

local key = ARGV[1] .. 'push:wanted:' .. ARGV[2]

if redis.call('HLEN', key) >= tonumber(ARGV[3]) and redis.call('HEXISTS', key, ARGV[5]) == 0 then
  return 0
end
redis.call('HSET', key, ARGV[5], ARGV[6])
redis.call('EXPIRE', key, ARGV[4])
return 1
