-- Notes the site's own WebSocket session of a user. Own arguments: id, tok, iat, the session.
-- Of one who hides nothing is noted. Returns 0 done, 1 the token is revoked.

local id = ARGV[FIRST]
local known = ask_known(id, ARGV[FIRST + 1])
if is_refused(known, ARGV[FIRST + 2]) then
  return REVOKED
end
if not hides(known) then
  redis.call('SET', websocket_key(id), ARGV[FIRST + 3], 'PX', integer(online_ttl))
end
return DONE
