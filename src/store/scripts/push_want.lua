-- A user wants to be told when a friend comes online. Arguments: prefix, user id, tok, iat, how many
-- friends a user may wait for, how long (s), the friend's id, the friend's name, "" for one who is not a
-- friend. Returns 1, or 0 when nothing was noted: for one who is not a friend, past the limit, or when the
-- token is revoked. The note is "+" and the name, or "-" and the name where a block hides
-- the friend: such a one leads to nothing. Whatever comes of it, all is asked just the same, so that no
-- time tells.

local prefix, id, friend, name = ARGV[1], ARGV[2], ARGV[7], ARGV[8]
local key = prefix .. 'push:wanted:' .. id
local is_in = is_let_in(prefix, id, ARGV[3], ARGV[4])
local blocks = redis.call('SISMEMBER', prefix .. 'user:blocked:' .. id, friend)
local is_blocked = redis.call('SISMEMBER', prefix .. 'user:blocked_by:' .. id, friend)
local has_room = redis.call('HLEN', key) < tonumber(ARGV[5])
local is_there = redis.call('HEXISTS', key, friend) == 1

if name == '' or not is_in or not (has_room or is_there) then
  return 0
end
redis.call('HSET', key, friend, (blocks + is_blocked > 0 and '-' or '+') .. name)
redis.call('EXPIRE', key, ARGV[6])
return 1
