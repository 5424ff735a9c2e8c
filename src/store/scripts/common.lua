-- What the scripts share.
--
-- Sessions are the truth (user:sessions:{id}: session -> deadline in ms); what others can see of a
-- user is derived from them (derive), and a change of that is published exactly once, by the script
-- that makes it (transition). A script reads first, then asks whether it may do all that it is going
-- to do (require_rights), then writes, then publishes: so it does all or nothing.
--
-- A deadline that ends in .5 was lowered by a stream that closed: such a session only waits for its
-- grace to pass, and its end reads "stream_closed".

local stream_ttl, grace, sweep_every, hold_for, recovering_for, version_ttl, max_sessions, max_streams, token_ttl,
  broadcast = string.match(ARGV[5], '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d)$')
stream_ttl, grace, hold_for = tonumber(stream_ttl), tonumber(grace), tonumber(hold_for) -- ms
max_sessions, max_streams = tonumber(max_sessions), tonumber(max_streams)
token_ttl = tonumber(token_ttl) -- s, token_lifetime
broadcast = broadcast == '1'

local swept_key = prefix .. 'presence:swept'
local hold_key = prefix .. 'presence:hold'
local paused_key = prefix .. 'presence:paused'
local recovering_key = prefix .. 'presence:recovering'

local function score(deadline)
  return string.format('%.1f', deadline)
end

local function revoked_key(id, tok)
  return prefix .. 'presence:revoked:' .. id .. '/' .. tok
end

-- Until the next release: where the release before noted it, for the tokens of every user.
local function old_revoked_key(tok)
  return prefix .. 'presence:revoked:' .. tok
end

local function is_closing(deadline)
  return deadline % 1 ~= 0
end

local function is_stream(session)
  return session:sub(1, 2) == 's:'
end

-- Whether a session belongs to a stream of the token `tok`.
local function is_stream_of(session, tok)
  local head = 's:' .. tok .. ':'
  return session:sub(1, #head) == head and not session:find(':', #head + 1, true)
end

-- Runs f for one user of many. A key of the wrong type, which somebody else wrote under one of our
-- names, spoils that user alone (nil); any other error is Redis' and ends the script, with its code
-- as the first word.
local function per_user(f, ...)
  local ok, result = pcall(f, ...)
  if ok then
    return result
  end
  local text = type(result) == 'table' and result.err or tostring(result)
  if text:find('WRONGTYPE', 1, true) then
    return nil
  end
  error({err = text:gsub('^ERR user_script:%d+: ', '')})
end

-- For every change that a transition may bring with it.
local function require_rights(id)
  local version = prefix .. 'presence:version:' .. id
  require_renewal(id)
  require_right('ZREM', session_key(id), 's')
  require_right('DEL', session_key(id))
  require_right('ZREM', deadlines, 'id')
  require_right('SET', online_key(id), 's', 'PXAT', '1')
  require_right('DEL', online_key(id))
  require_right('DEL', prefix .. 'user:websocket:' .. id)
  require_right('SADD', online_users, 'id')
  require_right('SREM', online_users, 'id')
  require_right('GET', version)
  require_right('SET', version, '1', 'EX', '1')
  require_right('PUBLISH', prefix .. 'user:status:' .. id, 'm')
  if broadcast then
    require_right('PUBLISH', prefix .. 'presence:broadcast', 'm')
  end
end

-- --- pauses --------------------------------------------------------------------------------------
--
-- presence-streamd notes each sweep in presence:swept. Once that is older than `pause`, either Redis
-- stood still (or every presence-streamd did), and then sessions of streams that are open have lapsed
-- because nobody could renew them; or no presence-streamd runs any more. The first script that comes
-- cannot know which, so it grants a hold, once for each such time (presence:paused), during which a
-- lapsed session of a stream counts as alive. A presence-streamd's first sweep grants it anew.

local known_pauses -- asked for when it is needed

local function grant_hold(swept)
  local text = integer(now + hold_for)
  require_right('SET', hold_key, text, 'PX', '1')
  require_right('SET', paused_key, text)
  redis.call('SET', hold_key, text, 'PX', integer(hold_for))
  redis.call('SET', paused_key, swept)
  return now + hold_for
end

-- What the sweeps tell: {is_swept: a presence-streamd sweeps, hold: until when (ms), swept}.
local function pauses(may_write)
  if not known_pauses then
    local known = redis.call('MGET', swept_key, hold_key, paused_key)
    local swept = tonumber(known[1] or 0) or 0
    local hold = tonumber(known[2] or 0) or 0
    local is_swept = now - swept <= pause
    if swept > 0 and not is_swept and known[3] ~= known[1] then
      hold = may_write and grant_hold(known[1]) or now + hold_for
    end
    known_pauses = {is_swept = is_swept, hold = hold, swept = swept}
  end
  return known_pauses
end

-- From when on a session may be taken for gone: the one rule, for whoever ends or reads. One of a
-- stream that did not close is spared while a hold lasts, and stream_ttl more where none sweeps.
local function gone_at(session, deadline)
  if deadline > now or is_closing(deadline) or not is_stream(session) then
    return deadline
  end
  local known = pauses(false)
  return math.max(known.hold, known.is_swept and deadline or deadline + stream_ttl)
end

-- Whether sessions of streams may have lapsed that are not gone, so that a missing user:online:{id}
-- does not tell that the user is offline (look.lua does).
local function is_unsettled()
  local known = pauses(false)
  return known.hold > now
    or known.swept > 0 and not known.is_swept and now - known.swept < 3 * stream_ttl
end

-- --- what others can see -------------------------------------------------------------------------

-- What follows from the sessions of a user: `online`, until when (`lasts`), whether that is owed to
-- spared sessions alone, and the `reason` that its end has or had.
local function derive(id)
  local sessions = redis.call('ZRANGE', session_key(id), 0, -1, 'WITHSCORES') -- by deadline
  local lasts, latest = 0, 0
  for i = 1, #sessions, 2 do
    latest = tonumber(sessions[i + 1])
    lasts = math.max(lasts, gone_at(sessions[i], latest))
  end
  return {
    online = lasts > now,
    lasts = lasts,
    is_spared = lasts > now and latest <= now,
    reason = is_closing(latest) and 'stream_closed' or 'expired',
  }
end

local function json_id(id)
  return id:find('^%d+$') and id or '"' .. id .. '"'
end

local function json_time(text)
  return text and text:find('^[%d:TZ-]+$') and '"' .. text .. '"' or 'null'
end

local function online_status(id, seen, version)
  return '{"user_id":' .. json_id(id) .. ',"is_online":true,"status":"online","last_activity":'
    .. json_time(seen) .. ',"version":' .. version
end

local function offline_status(id, seen, version)
  return '{"user_id":' .. json_id(id) .. ',"is_online":false,"status":"offline","last_seen":'
    .. json_time(seen) .. ',"version":' .. version
end

-- An order, never a time: 10^9 a week, one more with each change. What an older release stored is
-- larger, and counted on from.
local function next_version(id)
  local stored = tonumber(redis.call('GET', prefix .. 'presence:version:' .. id) or 0) or 0
  if not (stored >= 0 and stored < 2 ^ 53 - 1) then
    stored = 0
  end
  return integer(math.max(stored + 1, math.floor(seconds / 604800) * 1e9))
end

local function write_version(id, version)
  redis.call('SET', prefix .. 'presence:version:' .. id, version, 'EX', version_ttl)
end

local function publish(id, status, reason)
  local message = status .. ',"reason":"' .. reason .. '"}'
  redis.call('PUBLISH', prefix .. 'user:status:' .. id, message)
  if broadcast then
    redis.call('PUBLISH', prefix .. 'presence:broadcast', message)
  end
end

local function write_online(id, status, lasts)
  redis.call('SET', online_key(id), status .. '}', 'PXAT', integer(math.ceil(lasts)))
  redis.call('SADD', online_users, id)
end

-- Those who wait for this user to come online (docs/push.md) are told by presence-pushd: each gets an
-- entry in its queue. Nothing that is wrong with push keeps a user from coming online.
local PUSH_QUEUE_MAX = 100000

local function queue_waiting(id)
  local waiting, queue = prefix .. 'push:waiting:' .. id, prefix .. 'push:queue'
  if not redis.acl_check_cmd('SMEMBERS', waiting) or not redis.acl_check_cmd('DEL', waiting)
    or not redis.acl_check_cmd('XLEN', queue) or not redis.acl_check_cmd('XADD', queue, '*', 'f', 'v') then
    return
  end
  local users = redis.pcall('SMEMBERS', waiting)
  if users.err or #users == 0 then
    return
  end
  redis.call('DEL', waiting)
  for i, user in ipairs(users) do
    local queued = redis.pcall('XLEN', queue)
    if type(queued) ~= 'number' or queued >= PUSH_QUEUE_MAX then
      return
    end
    redis.call('XADD', queue, '*', 'job', '{"id":"o' .. clock[1] .. clock[2] .. '-' .. i .. '","user":"'
      .. user .. '","friend":"' .. id .. '","ttl":600}')
  end
end

local ONLINE_REASONS = {login = true, activity = true, stream_open = true}

local function go_online(id, lasts, reason)
  local version = next_version(id)
  local status = online_status(id, redis.call('GET', seen_key(id)), version)
  write_version(id, version)
  write_online(id, status, lasts)
  queue_waiting(id)
  publish(id, status, ONLINE_REASONS[reason] and reason or 'activity')
end

-- user:online:{id} ran out while nobody could renew it; nobody was told that the user is offline.
local function restore_online(id, lasts)
  local version = redis.call('GET', prefix .. 'presence:version:' .. id)
  if not version or not version:find('^%d+$') then
    version = next_version(id)
    write_version(id, version)
  end
  write_online(id, online_status(id, redis.call('GET', seen_key(id)), version), lasts)
end

local function go_offline(id, reason)
  local version = next_version(id)
  local status = offline_status(id, redis.call('GET', seen_key(id)), version)
  redis.call('DEL', online_key(id))
  redis.call('SREM', online_users, id)
  write_version(id, version)
  publish(id, status, reason)
end

local function forget_sessions(id)
  redis.call('DEL', session_key(id), prefix .. 'user:websocket:' .. id)
  redis.call('ZREM', deadlines, id)
end

-- After sessions were made, lowered or removed, or have lapsed: compares what others can see now
-- with what they were told last, which user:online:{id} and online_users together tell, and publishes
-- if it differs. `reason` nil: the one that follows from the sessions. `was_spared`: the user was
-- online just before only because lapsed sessions are spared. The caller had require_rights(id).
local function transition(id, reason, was_spared)
  local state = derive(id)
  local has_key = redis.call('EXISTS', online_key(id)) == 1
  local is_member = redis.call('SISMEMBER', online_users, id) == 1
  if not state.online then
    forget_sessions(id)
    if has_key or is_member then
      go_offline(id, reason or state.reason)
    end
    return
  end
  redis.call('ZADD', deadlines, score(state.lasts), id)
  if has_key and is_member then
    redis.call('PEXPIREAT', online_key(id), integer(math.ceil(state.lasts)))
  elseif is_member and (state.is_spared or was_spared) then
    restore_online(id, state.lasts)
  else
    go_online(id, state.lasts, reason or 'activity')
  end
end

local function expire(id)
  require_rights(id)
  transition(id)
  return true
end

-- Ends up to `limit` users whose deadline has passed; returns how many were looked at.
local function sweep(limit)
  local ids = redis.call('ZRANGEBYSCORE', deadlines, '-inf', integer(now), 'LIMIT', 0, limit)
  if #ids > 0 then
    pauses(true)
  end
  for _, id in ipairs(ids) do
    if not per_user(expire, id) then
      redis.call('ZADD', deadlines, integer(now + 60000), id) -- looked at again when mended
    end
  end
  return #ids
end
