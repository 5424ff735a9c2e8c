-- Whether a user may change a block; a change that is let in is counted. Own arguments: id, tok, iat, the
-- other's id, "1" to block, how many users may be blocked, how many changes in RATE_WINDOW.
-- Returns {verdict, ...}: 0 it may; 1 the token is revoked; 2 too many are blocked; 4 too often, with the
-- ms to wait.

local id, other = ARGV[FIRST], ARGV[FIRST + 3]
local key = prefix .. 'user:blocked:' .. id

if not is_let_in(id, ARGV[FIRST + 1], ARGV[FIRST + 2]) then
  return {REVOKED}
end
if ARGV[FIRST + 4] == '1' and redis.call('SCARD', key) >= tonumber(ARGV[FIRST + 5])
  and redis.call('SISMEMBER', key, other) == 0 then
  return {TOO_MANY}
end
local change = ask_change('blocks', id, tonumber(ARGV[FIRST + 6]))
if change.wait > 0 then
  return {TOO_OFTEN, change.wait}
end
count_change(change)
return {DONE}
