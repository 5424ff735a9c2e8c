-- Activity: creates or renews sessions. Own arguments: flag "1" when the caller is a worker, then
-- six for each session: id, tok, iat, stream ("" = none), "1" to renew the token's session, reason.
-- Returns {now in ms, verdict, verdict, ...}: 0 done, 1 the token is revoked, 2 too many streams,
-- 3 a key of this user has the wrong type.

local DONE, REVOKED, TOO_MANY_STREAMS, SPOILED = 0, 1, 2, 3
local seen = timestamp()

-- Raises one session; a new one pushes lapsed ones out and, past max_sessions, the nearest to its end.
local function raise(id, session, deadline)
  local key = session_key(id)
  if redis.call('ZADD', key, integer(deadline), session) == 1 then
    redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. integer(now))
    if redis.call('ZCARD', key) > max_sessions then
      redis.call('ZPOPMIN', key)
    end
  end
end

local function has_too_many_streams(id)
  local sessions = redis.call('ZRANGEBYSCORE', session_key(id), '(' .. integer(now), '+inf', 'WITHSCORES')
  local streams = 0
  for i = 1, #sessions, 2 do
    if sessions[i]:sub(1, 2) == 's:' and not is_closing(tonumber(sessions[i + 1])) then
      streams = streams + 1
    end
  end
  return streams >= max_streams
end

local function touch(id, tok, iat, stream, with_token, reason)
  local online_key = prefix .. 'user:online:' .. id
  local known = redis.call('MGET', prefix .. 'presence:revoked:' .. tok,
    prefix .. 'presence:not_before:' .. id, online_key)
  if known[1] or (known[2] and tonumber(iat) < (tonumber(known[2]) or 0)) then
    return REVOKED
  end
  if reason == 'stream_open' and has_too_many_streams(id) then
    return TOO_MANY_STREAMS
  end
  local latest = 0
  if with_token == '1' then
    latest = now + online_ttl
    raise(id, 't:' .. tok, latest)
  end
  if stream ~= '' then
    latest = math.max(latest, now + stream_ttl)
    raise(id, 's:' .. tok .. ':' .. stream, now + stream_ttl)
  end
  redis.call('ZADD', deadlines, 'GT', integer(latest), id)
  redis.call('SET', prefix .. 'user:last_seen:' .. id, seen, 'EX', last_seen_ttl)
  if known[3] and redis.call('SISMEMBER', online_users, id) == 1 then
    redis.call('PEXPIREAT', online_key, integer(latest), 'GT')
  else
    -- Another session may reach further than this one.
    local last = redis.call('ZREVRANGE', session_key(id), 0, 0, 'WITHSCORES')
    go_online(id, reason, tonumber(last[2]), seen)
  end
  return DONE
end

local answer = {now}
for i = FIRST + 1, #ARGV, 6 do
  answer[#answer + 1] = guarded(touch, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4],
    ARGV[i + 5]) or SPOILED
end

-- Where no streamd sweeps, the workers do, a little with each request.
if ARGV[FIRST] == '1' then
  local swept = tonumber(redis.call('GET', prefix .. 'presence:swept') or 0) or 0
  if now - swept > 10 * sweep_every
    and redis.call('SET', prefix .. 'presence:sweeping', '1', 'NX', 'PX', integer(sweep_every)) then
    sweep(20, stream_ttl, 0)
  end
end
return answer
