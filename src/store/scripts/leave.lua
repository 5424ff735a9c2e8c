-- Where a user is is forgotten; the marks stay. Own arguments: id, tok, iat.
-- Returns {verdict, what was kept or ""}: 0 done, 1 the token is revoked.

local id = ARGV[FIRST]

require_right('DEL', cell_key(id))
if not is_let_in(id, ARGV[FIRST + 1], ARGV[FIRST + 2]) then
  return {REVOKED, ''}
end
local place = get(cell_key(id)) or ''
redis.call('DEL', cell_key(id))
return {DONE, place}
