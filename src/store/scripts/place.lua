-- Where a user is, as presence-api has worked it out from what was kept before. It is kept when nobody else
-- has written since and the user looks online. Own arguments: id, tok, iat, what was read ("" = nothing),
-- what is to be kept, for how many ms; the marks, for how many ms.
-- Returns {verdict, 1 when it was kept, else 0}: 0 done, 1 the token is revoked.

local id = ARGV[FIRST]
local key, marks = cell_key(id), prefix .. 'presence:rate:location:' .. id

if is_sharded then
  require_keys(key, marks, online_key(id))
end
require_right('SET', key, 'c', 'PX', '1')
require_right('SET', marks, 'm', 'PX', '1')
if not is_let_in(id, ARGV[FIRST + 1], ARGV[FIRST + 2]) then
  return {REVOKED, 0}
end
if (get(key) or '') ~= ARGV[FIRST + 3] or redis.call('EXISTS', online_key(id)) == 0 then
  return {DONE, 0}
end
redis.call('SET', key, ARGV[FIRST + 4], 'PX', ARGV[FIRST + 5])
redis.call('SET', marks, ARGV[FIRST + 6], 'PX', ARGV[FIRST + 7])
return {DONE, 1}
