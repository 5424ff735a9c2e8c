-- A login succeeded. Own arguments: the name of the account, whose count is forgotten, and, unless
-- it is "", that of the address, which gets back the one that throttle.lua counted.

local account = prefix .. 'presence:throttle:' .. ARGV[FIRST]
local key = prefix .. 'presence:throttle:' .. ARGV[FIRST + 1]
if is_sharded then
  require_keys(account, key)
end
require_right('DEL', account)
require_right('DECR', key)
redis.call('DEL', account)
if ARGV[FIRST + 1] ~= '' and (tonumber(redis.call('GET', key) or 0) or 0) > 0 then
  redis.call('DECR', key)
end
return 0
