-- Ends users whose deadline has passed. Own arguments: limit, "1" when the caller is a streamd, a random
-- word for the epoch if Redis has none.
-- Returns {users looked at, epoch, recovers, how late those were announced who are offline now (ms), users of
-- online_users who were compared with keys and sessions, those who were not as these say, hold}: as many looked
-- at as the limit means that there may be more. recovers: 1 when Redis was wiped and may not be filled again, else 0.
-- hold: until when (ms) one lasts, 0 = there is none.

local SAMPLE = 20 -- users compared in one sweep

local epoch_key = prefix .. 'presence:epoch'

-- Whether a member of online_users was not what keys and sessions say of it: then it is, and that was
-- announced. One whose deadline has passed is what the sweep itself is for.
local function repair(id)
  local deadline = tonumber(redis.call('ZSCORE', deadlines, id) or nil)
  if deadline and (deadline <= now or derive(id).online and get(online_key(id))) then
    return 0
  end
  require_rights(id)
  transition(id)
  return 1
end

-- A random sample, so that in time all have their turn, however many there are. Not while sessions may be
-- missing because Redis was wiped or stood still.
local function compare()
  if is_recovering(false) or pauses(false).hold > now
    or not redis.acl_check_cmd('SRANDMEMBER', online_users, SAMPLE) then
    return 0, 0
  end
  local ids, repaired = redis.pcall('SRANDMEMBER', online_users, SAMPLE), 0
  if ids.err then
    return 0, 0
  end
  for _, id in ipairs(ids) do
    repaired = repaired + (per_user(repair, id) or 0)
  end
  return #ids, repaired
end

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
local looked_at = sweep(tonumber(ARGV[FIRST]))
local checked, repaired = 0, 0
if ARGV[FIRST + 1] == '1' then
  checked, repaired = compare()
end
return {looked_at, redis.call('GET', epoch_key) or '', is_recovering(false) and 1 or 0, lateness, checked, repaired,
  pauses(false).hold}
