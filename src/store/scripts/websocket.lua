-- Notes the site's own WebSocket session of a user, as long as the token's session lives (the touch
-- in front of it may have refused the token). Own arguments: id, tok, the session.

local id = ARGV[FIRST]
if redis.call('ZSCORE', session_key(id), 't:' .. ARGV[FIRST + 1]) then
  redis.call('SET', prefix .. 'user:websocket:' .. id, ARGV[FIRST + 2], 'PX', integer(online_ttl))
end
return 0
