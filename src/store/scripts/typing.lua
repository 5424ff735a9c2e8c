-- A user types to this one. Own arguments: this user's id, the other's, "1" for a start or "0" for a stop,
-- the conversation or "", for how many ms a start holds, "1" unless something on the other's side is
-- against it. Whatever is, all is asked just the same, so that no time tells. Of the starts of a pair one in
-- EVERY passes, and a stop only after a start that passed and still holds.
-- Returns 1 when the user's streams are told, else 0.

local EVERY = 2000 -- ms

local id, friend, starts = ARGV[FIRST], ARGV[FIRST + 1], ARGV[FIRST + 2] == '1'
local conversation, holds, passes = ARGV[FIRST + 3], ARGV[FIRST + 4], ARGV[FIRST + 5] == '1'
local rate = prefix .. 'presence:rate:typing:' .. id .. '/' .. friend
local started = prefix .. 'presence:typing:' .. id .. '/' .. friend

require_friendship(id, rate, started)
local known = redis.call('MGET', settings_key(id), rate, started)
local settings = decode(known[1] or nil) or {}
local is_hidden = is_hidden_from(id, friend)
local is_due = starts and not known[2] or not starts and known[3]

if not passes or not is_due or settings.typing == false or is_hidden then
  return 0
end
require_right('SET', rate, '1', 'PX', '1')
require_right('SET', started, '1', 'PX', '1')
require_right('DEL', started)
require_right(PUBLISH, inbox_channel(id), 'm')
if starts then
  redis.call('SET', rate, '1', 'PX', EVERY)
  redis.call('SET', started, '1', 'PX', holds)
else
  redis.call('DEL', started)
end
redis.call(PUBLISH, inbox_channel(id), '{"type":"typing","user_id":' .. json_id(friend)
  .. ',"typing":' .. tostring(starts)
  .. (conversation ~= '' and ',"conversation":"' .. conversation .. '"' or '') .. '}')
return 1
