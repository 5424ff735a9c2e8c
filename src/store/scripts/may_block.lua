-- Whether a user may change a block. A change that is let in is counted, as long as the token's session
-- lives (the touch in front of it may have refused the token). Own arguments: id, tok, the other's id,
-- "1" to block, how many users may be blocked, how many changes in RATE_WINDOW.
-- Returns 0; -1 when too many are blocked; else for how many ms there have been too many changes.

local id, other = ARGV[FIRST], ARGV[FIRST + 2]
local key = prefix .. 'user:blocked:' .. id

if not redis.call('ZSCORE', session_key(id), 't:' .. ARGV[FIRST + 1]) then
  return 0
end
if ARGV[FIRST + 3] == '1' and redis.call('SCARD', key) >= tonumber(ARGV[FIRST + 4])
  and redis.call('SISMEMBER', key, other) == 0 then
  return -1
end
return count_change('blocks', id, tonumber(ARGV[FIRST + 5]))
