-- Ends users whose deadline has passed. Own arguments: limit, "1" when the caller is a streamd, a random
-- word for the epoch if Redis has none.
-- Returns {users looked at, epoch, recovers}: as many as the limit means that there may be more; 1 when Redis was
-- wiped and may not be filled again, else 0.

local epoch_key = prefix .. 'presence:epoch'

if ARGV[FIRST + 1] == '1' then
  local swept = redis.call('GET', swept_key)
  if is_sharded then
    require_keys(swept_key, epoch_key, recovering_key, hold_key, paused_key)
  end
  require_right('SET', swept_key, '1')
  require_right('SET', epoch_key, '1', 'NX')
  require_right('SET', recovering_key, '1', 'PX', '1')
  if swept and now - (tonumber(swept) or 0) > pause then
    grant_hold(swept)
  end
  redis.call('SET', swept_key, integer(now))
  if redis.call('SET', epoch_key, ARGV[FIRST + 2], 'NX') then
    redis.call('SET', recovering_key, '1', 'PX', recovering_for)
  end
end
return {sweep(tonumber(ARGV[FIRST])), redis.call('GET', epoch_key) or '', is_recovering(false) and 1 or 0}
