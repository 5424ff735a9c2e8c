-- Ends users whose deadline has passed. Own arguments: limit, "1" when the caller is a streamd,
-- a random word for the epoch if Redis has none.
-- Returns {users looked at, epoch}: as many as the limit means that there may be more.

local hold_key = prefix .. 'presence:hold'
local epoch_key = prefix .. 'presence:epoch'

if ARGV[FIRST + 1] == '1' then
  local swept_key = prefix .. 'presence:swept'
  local swept = tonumber(redis.call('GET', swept_key) or 0) or 0
  if now - swept > 10 * sweep_every then
    redis.call('SET', hold_key, '1', 'PX', integer(hold_for))
  end
  redis.call('SET', swept_key, integer(now))
  redis.call('SET', epoch_key, ARGV[FIRST + 2], 'NX')
end

local hold = math.max(redis.call('PTTL', hold_key), 0)
return {sweep(tonumber(ARGV[FIRST]), 0, hold), redis.call('GET', epoch_key) or ''}
