-- A friend is near this user, or no longer is. Own arguments: this user's id, the other's, "1" or "0".
-- The other's side was asked before. Returns 1 when the user's streams are told, else 0.

local id, friend, near = ARGV[FIRST], ARGV[FIRST + 1], ARGV[FIRST + 2] == '1'
require_friendship(id)
local settings = decode(get(settings_key(id))) or {}

if settings.nearby ~= 'friends' or is_hidden_from(id, friend) then
  return 0
end
require_right(PUBLISH, inbox_channel(id), 'm')
redis.call(PUBLISH, inbox_channel(id), '{"type":"nearby","user_id":' .. json_id(friend)
  .. ',"nearby":' .. tostring(near) .. '}')
return 1
