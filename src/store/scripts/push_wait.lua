-- The other side of push_want.lua: somebody waits for this user. Arguments: prefix, the friend's id,
-- how many may wait for one, how long (s), who waits, "1" unless nothing was noted there: then nothing is
-- here, but all is asked just the same. Returns 1, or 0 when nothing is noted.

local key = ARGV[1] .. 'push:waiting:' .. ARGV[2]
-- In a cluster, whose slot may be moving: see require_keys() in head.lua.
if #KEYS > 0 then
  redis.call('EXISTS', key, KEYS[1])
end
local has_room = redis.call('SCARD', key) < tonumber(ARGV[3])
local is_there = redis.call('SISMEMBER', key, ARGV[5]) == 1

if ARGV[6] ~= '1' or not (has_room or is_there) then
  return 0
end
redis.call('SADD', key, ARGV[5])
redis.call('EXPIRE', key, ARGV[4])
return 1
