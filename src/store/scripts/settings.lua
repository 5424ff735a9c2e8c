-- What a user wants others to learn, as long as the token's session lives (the touch in front of it may
-- have refused the token). Own arguments: id, tok, the settings' JSON, "" for none.

local id = ARGV[FIRST]
require_right('SET', settings_key(id), 's')
require_right('DEL', settings_key(id))
if not redis.call('ZSCORE', session_key(id), 't:' .. ARGV[FIRST + 1]) then
  return 0
end
if ARGV[FIRST + 2] == '' then
  redis.call('DEL', settings_key(id))
else
  redis.call('SET', settings_key(id), ARGV[FIRST + 2])
end
return 1
