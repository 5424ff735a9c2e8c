-- Failed logins. Own arguments: how many are allowed, in how many seconds, then the names of what
-- is counted (an account, an address). Returns {wait, now}: wait is 0 when the login may be tried,
-- and has counted it as failed already, so that many at a time do not get around it; else how many
-- seconds to wait. A login that succeeds takes its count back (unthrottle.lua). `now` is the time in
-- seconds, for the token that the login issues.

local allowed, window = tonumber(ARGV[FIRST]), ARGV[FIRST + 1] * 1000

local keys = {}
for i = FIRST + 2, #ARGV do
  keys[#keys + 1] = prefix .. 'presence:throttle:' .. ARGV[i]
end
if is_sharded then
  require_keys(unpack(keys))
end
local counters = {}
for i = FIRST + 2, #ARGV do
  local key = prefix .. 'presence:throttle:' .. ARGV[i]
  local count, left = read_counter(key)
  if count >= allowed then
    return {math.ceil(left / 1000), seconds}
  end
  require_counter_rights(key)
  counters[#counters + 1] = {key, count + 1, left}
end
for _, counter in ipairs(counters) do
  write_counter(counter[1], counter[2], counter[3], window)
end
return {0, seconds}
