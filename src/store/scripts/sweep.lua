-- Ends users whose deadline has passed. Own arguments: limit, "1" when the caller is a streamd, a random
-- word for the epoch if Redis has none.
-- Returns {users looked at, epoch, recovers, how late those were announced who are offline now (ms), users of
-- online_users who were compared with other keys, those who were not as these say, hold}: as many looked
-- at as the limit means that there may be more. recovers: 1 when Redis was wiped and may not be filled again, else 0.
-- hold: until when (ms) one lasts, 0 = there is none.

local SAMPLE = 50 -- users compared at a time
local COMPARE_EVERY = 5000 -- ms, by all streamds together

local epoch_key = prefix .. 'presence:epoch'

local function repair(id)
  require_rights(id)
  transition(id)
  return 1
end

-- Members of online_users, from any place on, so that in time all have their turn, however many there are.
local function sample()
  math.randomseed(clock[2])
  local scan = redis.pcall('SSCAN', online_users, integer(math.random(0, 2147483647)), 'COUNT', SAMPLE)
  local found, ids = scan[2] or {}, {}
  local from = math.random(0, math.max(#found - 1, 0)) -- a small Set comes as a whole
  for i = 1, math.min(#found, SAMPLE) do
    ids[i] = found[(from + i) % #found + 1]
  end
  return ids
end

-- Members of online_users without a deadline or without what others are told are not as their sessions say:
-- then they are made so, and that is announced. Sessions that are missing show when the deadline has passed,
-- which is what the sweep itself is for. Not while sessions may be missing because Redis was wiped or stood
-- still.
local function compare()
  if is_recovering(false) or pauses(false).hold > now then
    return 0, 0
  end
  local ids, keys, repaired = sample(), {}, 0
  for i, id in ipairs(ids) do
    keys[i] = online_key(id)
  end
  local told = #ids > 0 and redis.pcall('MGET', unpack(keys)) or {}
  if told.err then
    return 0, 0 -- the slot is moving
  end
  for i, id in ipairs(ids) do
    local deadline = redis.call('ZSCORE', deadlines, id)
    if not deadline or not told[i] and tonumber(deadline) > now then
      repaired = repaired + (per_user(repair, id) or 0)
    end
  end
  return #ids, repaired
end

local compares = false
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
  compares = swept and math.floor(now / COMPARE_EVERY) ~= math.floor((tonumber(swept) or 0) / COMPARE_EVERY)
  redis.call('SET', swept_key, integer(now))
  if redis.call('SET', epoch_key, ARGV[FIRST + 2], 'NX') then
    redis.call('SET', recovering_key, '1', 'PX', recovering_for)
  end
end
local looked_at = sweep(tonumber(ARGV[FIRST]))
local checked, repaired = 0, 0
if compares then
  checked, repaired = compare()
end
return {looked_at, redis.call('GET', epoch_key) or '', is_recovering(false) and 1 or 0, lateness, checked, repaired,
  pauses(false).hold}
