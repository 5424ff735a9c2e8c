-- One side of a block, which its owner's streams are told of. The other side is a call of its own,
-- for the two users may be on different servers. Own arguments: the owner's id, the other's, the side:
-- "blocked" (by the owner) or "blocked_by" (the other blocks the owner), "1" to add it, else "0".

local id, other, side, adds = ARGV[FIRST], ARGV[FIRST + 1], ARGV[FIRST + 2], ARGV[FIRST + 3] == '1'
local command = adds and 'SADD' or 'SREM'
local key, inbox = prefix .. 'user:' .. side .. ':' .. id, prefix .. 'user:inbox:' .. id

if is_sharded then
  require_keys(key)
end
require_right(command, key, other)
require_right(PUBLISH, inbox, 'm')
redis.call(command, key, other)
-- Also when nothing changed: a Redis that was wiped does not know what open streams still hide.
redis.call(PUBLISH, inbox, '{"type":"friends_changed","user_id":' .. json_id(other)
  .. ',"side":"' .. side .. '","hidden":' .. tostring(adds) .. '}')
return 1
