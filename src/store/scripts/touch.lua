-- Activity: creates or renews sessions. Own arguments: flag "1" when the caller is a worker, then
-- six for each session: id, tok, iat, stream ("" = none), "1" to renew the token's session, reason.
-- Returns {now in ms, verdict, verdict, ..., unsettled}: a verdict is 0 done, 1 the token is revoked,
-- 2 too many streams, 3 a key of this user has the wrong type; unsettled is 1 when a worker must
-- look twice before it says that somebody is offline (look.lua), else 0.

local DONE, REVOKED, TOO_MANY_STREAMS, WRONG_TYPE = 0, 1, 2, 3

-- Past max_sessions: first who only waits for the end, then tokens, last the streams that are open,
-- each by deadline. The one that was just added is the last of its kind.
local function push_one_out(key, added)
  local sessions = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  local victim, lowest = added, 9
  for i = 1, #sessions, 2 do
    local session, deadline = sessions[i], tonumber(sessions[i + 1])
    local rank = is_closing(deadline) and 1 or is_stream(session) and 5 or 3
    if session == added then
      rank = rank + 1
    end
    if rank < lowest then
      victim, lowest = session, rank
    end
  end
  redis.call('ZREM', key, victim)
end

-- Raises one session; a new one pushes those out that are gone, and one more past max_sessions. So
-- does a stream's renewal: else what a killed process left would count as alive after a later pause.
local function raise(id, session, deadline)
  local key = session_key(id)
  local is_new = redis.call('ZADD', key, integer(deadline), session) == 1
  if not is_new and not is_stream(session) then
    return
  end
  local lapsed = redis.call('ZRANGEBYSCORE', key, '-inf', integer(now), 'WITHSCORES')
  for i = 1, #lapsed, 2 do
    if gone_at(lapsed[i], tonumber(lapsed[i + 1])) <= now then
      redis.call('ZREM', key, lapsed[i])
    end
  end
  if is_new and redis.call('ZCARD', key) > max_sessions then
    push_one_out(key, session)
  end
end

-- Whether this stream would be one too many: asked of one that has no session, whether it opens or
-- comes back after a time in which it could not register. Those that are spared after a pause count.
local function is_too_many(id, session)
  local key = session_key(id)
  if redis.call('ZSCORE', key, session) then
    return false
  end
  local sessions = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  local streams = 0
  for i = 1, #sessions, 2 do
    local deadline = tonumber(sessions[i + 1])
    if is_stream(sessions[i]) and not is_closing(deadline) and gone_at(sessions[i], deadline) > now then
      streams = streams + 1
    end
  end
  return streams >= max_streams
end

local function touch(id, tok, iat, stream, with_token, reason, known)
  known = known or redis.call('MGET', revoked_key(id, tok), old_revoked_key(tok),
    prefix .. 'presence:not_before:' .. id, online_key(id))
  if known[1] or known[2] or known[3] and tonumber(iat) < (tonumber(known[3]) or 0) then
    return REVOKED
  end
  -- A token that only watches: it is not revoked, and nothing is registered.
  if stream == '' and with_token ~= '1' then
    return DONE
  end
  local session = stream ~= '' and 's:' .. tok .. ':' .. stream
  if session and is_too_many(id, session) then
    return TOO_MANY_STREAMS
  end
  local is_online = known[4] and redis.call('SISMEMBER', online_users, id) == 1
  local was_spared = not is_online and derive(id).is_spared
  if is_online then
    require_renewal(id)
    require_right('ZREM', session_key(id), 's')
  else
    require_rights(id)
  end
  local latest = 0
  if with_token == '1' then
    latest = now + online_ttl
    raise(id, 't:' .. tok, latest)
  end
  if session then
    latest = math.max(latest, now + stream_ttl)
    raise(id, session, now + stream_ttl)
  end
  if is_online then
    renew(id, latest)
  else
    redis.call('SET', seen_key(id), timestamp(), 'EX', last_seen_ttl)
    transition(id, reason, was_spared)
  end
  return DONE
end

local is_worker = ARGV[FIRST] == '1'
local unsettled = 0
if is_worker then
  if quick_known and quick_known[5] and now - quick_known[5] <= pause and not quick_known[6] then
    known_pauses = {is_swept = true, hold = 0, swept = tonumber(quick_known[5])}
  end
  pauses(true) -- before anything else: it may grant a hold
  unsettled = is_unsettled() and 1 or 0
end

local answer = {now}
for i = FIRST + 1, #ARGV, 6 do
  answer[#answer + 1] = per_user(touch, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4],
    ARGV[i + 5], quick_known) or WRONG_TYPE
end
answer[#answer + 1] = unsettled

-- Where no streamd sweeps, the workers do, a little with each request.
if is_worker and not pauses(true).is_swept then
  local key = prefix .. 'presence:sweeping'
  require_right('SET', key, '1', 'NX', 'PX', '1')
  if redis.call('SET', key, '1', 'NX', 'PX', sweep_every) then
    sweep(20)
  end
end
return answer
