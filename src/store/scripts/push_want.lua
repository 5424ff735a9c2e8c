-- A user wants to be told when a friend comes online. Arguments: prefix, user id, tok, how many friends
-- a user may wait for, how long (s), the friend's id, the friend's name. Returns 1; 0 past the limit, or
-- when the touch before it did not let the token in. Of a friend whom a block hides the note has no
-- name: it leads to nothing, and takes as long as one that does, so that no time tells of the block.

local prefix, id, friend, name = ARGV[1], ARGV[2], ARGV[6], ARGV[7]
local key = prefix .. 'push:wanted:' .. id
local is_in = redis.call('ZSCORE', prefix .. 'user:sessions:' .. id, 't:' .. ARGV[3])
local blocks = redis.call('SISMEMBER', prefix .. 'user:blocked:' .. id, friend)
local is_blocked = redis.call('SISMEMBER', prefix .. 'user:blocked_by:' .. id, friend)

if not is_in or redis.call('HLEN', key) >= tonumber(ARGV[4]) and redis.call('HEXISTS', key, friend) == 0 then
  return 0
end
redis.call('HSET', key, friend, blocks + is_blocked > 0 and '' or name)
redis.call('EXPIRE', key, ARGV[5])
return 1
