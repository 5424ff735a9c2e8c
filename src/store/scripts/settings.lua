-- What a user wants others to learn. Own arguments: id, tok, iat, the settings' JSON, "" for none.
-- Returns 0 done, 1 the token is revoked.

local id = ARGV[FIRST]
require_right('SET', settings_key(id), 's')
require_right('DEL', settings_key(id))
if not is_let_in(id, ARGV[FIRST + 1], ARGV[FIRST + 2]) then
  return REVOKED
end
if ARGV[FIRST + 3] == '' then
  redis.call('DEL', settings_key(id))
else
  redis.call('SET', settings_key(id), ARGV[FIRST + 3])
end
return DONE
