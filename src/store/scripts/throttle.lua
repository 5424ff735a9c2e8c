-- Failed logins. Own arguments: how many are allowed, in how many seconds, then the names of what
-- is counted (an account, an address). Returns {wait, now}: wait is 0 when the login may be tried,
-- and has counted it as failed already, so that many at a time do not get around it; else how many
-- seconds to wait. A login that succeeds takes its count back (unthrottle.lua). `now` is the time in
-- seconds, for the token that the login issues.

local allowed, window = tonumber(ARGV[FIRST]), ARGV[FIRST + 1]

for i = FIRST + 2, #ARGV do
  local key = prefix .. 'presence:throttle:' .. ARGV[i]
  if (tonumber(redis.call('GET', key) or 0) or 0) >= allowed then
    return {math.max(redis.call('TTL', key), 1), seconds}
  end
  require_right('INCR', key)
  require_right('EXPIRE', key, window)
end
for i = FIRST + 2, #ARGV do
  local key = prefix .. 'presence:throttle:' .. ARGV[i]
  if redis.call('INCR', key) == 1 then
    redis.call('EXPIRE', key, window)
  end
end
return {0, seconds}
