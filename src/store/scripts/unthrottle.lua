-- A login succeeded. Own arguments: the name of the account, whose count is forgotten, and, unless
-- it is "", that of the address, which gets back the one that throttle.lua counted.

local account = prefix .. 'presence:throttle:' .. ARGV[FIRST]
local key = prefix .. 'presence:throttle:' .. ARGV[FIRST + 1]
if is_sharded then
  require_keys(account, key)
end
require_right('DEL', account)
require_counter_rights(key)
local count, left = 0, 0
if ARGV[FIRST + 1] ~= '' then
  count, left = read_counter(key)
end
redis.call('DEL', account)
if count > 0 then
  write_counter(key, count - 1, left)
end
return 0
