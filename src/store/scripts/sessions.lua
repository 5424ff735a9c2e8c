-- Who is let in, creating and renewing sessions, and counting changes: for what a user does.

local DONE, REVOKED, TOO_MANY, WRONG_TYPE, TOO_OFTEN = 0, 1, 2, 3, 4
local RATE_MAX, RATE_WINDOW = 5, 30000 -- changes of one user, unless it is said, in so many ms

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

-- Whether there are as many streams as there may be: asked for one that has no session, whether it
-- opens or comes back after a time in which it could not register. Those that are spared after a pause
-- count.
local function is_one_too_many(id)
  local sessions = redis.call('ZRANGE', session_key(id), 0, -1, 'WITHSCORES')
  local streams = 0
  for i = 1, #sessions, 2 do
    local deadline = tonumber(sessions[i + 1])
    if is_stream(sessions[i]) and not is_closing(deadline) and gone_at(sessions[i], deadline) > now then
      streams = streams + 1
    end
  end
  return streams >= max_streams
end

-- What is asked first of a user: the text of each key, or false.
local function ask_known(id, tok)
  local values = redis.call('MGET', revoked_key(id, tok), prefix .. 'presence:not_before:' .. id,
    online_key(id), chosen_key(id))
  return {revoked = values[1], not_before = values[2], online = values[3], chosen = values[4]}
end

local function is_refused(known, iat)
  return known.revoked or known.not_before and tonumber(iat) < (tonumber(known.not_before) or 0)
end

-- Whether the user chose to be invisible.
local function hides(known)
  local own = read_chosen(known.chosen)
  return own and own.status == 'invisible'
end

-- For a script that changes nothing of the sessions: the touch in front of it may have refused the token.
local function is_let_in(id, tok, iat)
  return not is_refused(ask_known(id, tok), iat)
end

local function rate_key(kind, id)
  return prefix .. 'presence:rate:' .. kind .. ':' .. id
end

-- Before the first write: the counter of one more change of a kind, of which there may be `max`, else
-- RATE_MAX; `wait`: for how many ms there have been too many already, or 0.
local function ask_change(kind, id, max)
  local key = rate_key(kind, id)
  local count, left = read_counter(key)
  require_counter_rights(key)
  return {key = key, count = count, left = left, wait = count >= (max or RATE_MAX) and left or 0}
end

local function count_change(change)
  write_counter(change.key, change.count + 1, change.left, RATE_WINDOW)
end
