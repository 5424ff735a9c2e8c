-- Activity: creates or renews sessions. Own arguments: "0" when the caller is a presence-streamd, "1" a
-- worker, "2" one that has seen an epoch before; then nine for each session:
--   id, tok, iat
--   stream ("" = none), "1" to renew the token's session; neither: only look whether it is revoked
--   reason
--   idle: "1" or "0" when the client says so, "born" for a stream that opens idle, else ""
--   chosen: what the caller knows of the state that the user chose, for a Redis that was wiped: its
--     JSON, "-" for none, "" for one who does not know
--   "1" to be told the user's own STATUS
-- The short form, of an everyday request (touch_quick.lua): id, tok, iat, and "1" if the caller is that.
-- Returns {now in ms, verdict, verdict, ..., number}: a verdict is 0 done, 1 the token is revoked,
-- 2 too many streams, 3 a key of this user has the wrong type; or, where the own STATUS was asked for,
-- {0, its JSON, the JSON of the chosen state or ""}, unless Redis was wiped and nobody can know yet what
-- was chosen. The last number tells a worker what else it learned, a sum of these:

local LOOK_TWICE = 1 -- before it says that somebody is offline (look.lua)
local SWEPT = 2 -- a presence-streamd has swept

if #ARGV < FIRST + 9 then
  local id, tok, iat, caller = ARGV[FIRST], ARGV[FIRST + 1], ARGV[FIRST + 2], ARGV[FIRST + 3]
  for i, value in ipairs({caller or '2', id, tok, iat, '', '1', 'activity', '', '', '0'}) do
    ARGV[FIRST + i - 1] = value
  end
end

local is_worker = ARGV[FIRST] ~= '0'
local has_seen_epoch = ARGV[FIRST] ~= '1'

local function has_session(id, tok)
  local sessions = redis.call('ZRANGE', session_key(id), 0, -1, 'WITHSCORES')
  for i = 1, #sessions, 2 do
    if token_of(sessions[i]) == tok and gone_at(sessions[i], tonumber(sessions[i + 1])) > now then
      return true
    end
  end
  return false
end

-- Before the first write: what becomes of the token's mark when the client says `idle`. {value: it is set
-- to that, false: it goes, nil: it stays; shows: others may see the user otherwise now; change: what is to
-- be counted; due: when it takes effect, if later}.
local function ask_mark(id, tok, idle, is_alive)
  local key = idle_key(id)
  local has_marks = not is_alive and redis.call('EXISTS', key) == 1
  local mark = {shows = has_marks}
  local is_new = (has_marks or idle == 'born') and not has_session(id, tok)
  if is_new and has_marks then
    mark.value = false -- of a session that is gone
  end
  if idle == '' or idle == 'born' and not is_new then
    return mark
  end
  require_right('HSET', key, 'tok', '1')
  local stored = not is_new and redis.call('HGET', key, tok)
  local is_idle = stored and says_idle(stored) or false
  local will_be_idle = stored and (tonumber(stored) or 0) >= 0 or false
  local wants_idle = idle ~= '0'
  if wants_idle == will_be_idle then
    return mark
  end
  mark.value = wants_idle and integer(now)
  if wants_idle == is_idle then
    return mark -- what was to come does not
  end
  mark.shows = true
  if idle ~= 'born' then
    mark.change = ask_change('idle', id)
    if mark.change.wait > 0 then
      mark.due = integer(now + mark.change.wait)
      mark.value = wants_idle and mark.due or '-' .. mark.due
      mark.shows = has_marks
    end
  end
  return mark
end

local function write_mark(id, tok, mark)
  if mark.value then
    redis.call('HSET', idle_key(id), tok, mark.value)
  elseif mark.value == false then
    redis.call('HDEL', idle_key(id), tok)
  end
  if mark.due then
    redis.call('ZADD', expiries, 'LT', mark.due, id)
  elseif mark.change then
    count_change(mark.change)
  end
end

-- A Redis that was wiped gets back what the caller knows, before anybody is told anything. Returns
-- whether the user is to be invisible.
local function restore_chosen(id, chosen)
  local own = chosen ~= '-' and read_chosen(chosen)
  require_right('SET', chosen_key(id), 'c', 'NX')
  require_right('PEXPIREAT', chosen_key(id), '0')
  if own and redis.call('SET', chosen_key(id), json_of_chosen(own), 'NX') and own.ends then
    redis.call('PEXPIREAT', chosen_key(id), integer(own.ends))
  end
  own = read_chosen(get(chosen_key(id)))
  return own and own.status == 'invisible'
end

-- Returns the later of the two deadlines; `ttl` is the token's.
local function raise_both(id, tok, session, with_token, ttl)
  local latest = 0
  if with_token == '1' then
    latest = now + ttl
    raise(id, 't:' .. tok, latest)
  end
  if session then
    latest = math.max(latest, now + stream_ttl)
    raise(id, session, now + stream_ttl)
  end
  return latest
end

-- What the last touch learned of its user: the state that a transition found, or what was told; or
-- that nobody can know yet what was chosen.
local found_state, found_told, is_waiting

-- The token is let in, and `session` (or only the token's own) is made or renewed. `deadline`: that it has.
local function register(id, tok, session, with_token, reason, idle, chosen, known, deadline)
  local is_alive = deadline and gone_at(session or 't:' .. tok, tonumber(deadline)) > now
  local is_online = known.online and redis.call('SISMEMBER', online_users, id) == 1
  local own = read_chosen(known.chosen)
  local hides = own and own.status == 'invisible'
  local is_better_known = #chosen > 1 and not known.chosen -- by the caller
  local recovers = (not is_online or is_better_known) and is_recovering(has_seen_epoch)
  if is_online and is_alive and idle == '' and not hides and not recovers then
    require_renewal(id)
    require_right('ZREM', session_key(id), 's')
  else
    require_rights(id)
  end
  local mark = ask_mark(id, tok, idle, is_alive)
  local ttl = online_ttl
  is_waiting = recovers and chosen == '' and not known.chosen
  if is_waiting then
    -- The sweep brings the user online when it is known what was chosen, if the session lasts.
    ttl = math.max(ttl, recovering_for + 2 * sweep_every)
  elseif recovers then
    hides = restore_chosen(id, chosen)
  end
  if not (is_online or is_waiting or hides) then
    bring_back(id)
  end
  local latest = raise_both(id, tok, session, with_token, ttl)
  write_mark(id, tok, mark)
  if is_waiting then
    redis.call('ZADD', deadlines, integer(now + recovers), id)
    return
  end
  if is_online and not hides then
    renew(id, latest)
  elseif not hides then
    write_seen(id)
  end
  if hides and not (known.online or mark.shows or recovers) then
    redis.call('ZADD', deadlines, 'GT', integer(latest), id)
  elseif mark.shows or hides or recovers or not is_online then
    found_state = transition(id, reason)
  end
end

local function touch(id, tok, iat, stream, with_token, reason, idle, chosen)
  local known = ask_known(id, tok)
  found_state, found_told, is_waiting = nil, not known.chosen and known.online, false
  if is_refused(known, iat) then
    return REVOKED
  end
  local session = stream ~= '' and 's:' .. tok .. ':' .. stream
  if not session and with_token ~= '1' then
    return DONE
  end
  local deadline = redis.call('ZSCORE', session_key(id), session or 't:' .. tok)
  if session and not deadline and is_one_too_many(id) then
    return TOO_MANY
  end
  register(id, tok, session, with_token, reason, idle, chosen, known, deadline)
  return DONE
end

local function answer_of(verdict, wants_self, id)
  if verdict ~= DONE or wants_self ~= '1' or is_waiting then
    return verdict or WRONG_TYPE
  end
  -- The commonest case: one who chose nothing and was told to be online.
  local version = not found_state and found_told
    and found_told:match('"status":"online",.*"version":(%d+)')
  if version then
    return {DONE, '{"user_id":' .. json_id(id) .. ',"is_online":true,"status":"online","last_activity":"'
      .. timestamp() .. '","version":' .. version .. '}', ''}
  end
  local state = found_state or derive(id)
  return {DONE, own_status(id, state) .. '}', state.chosen or ''}
end

local learned = 0
if is_worker then
  if is_sharded then
    require_keys(swept_key, hold_key, paused_key, prefix .. 'presence:sweeping')
  end
  pauses(true) -- before anything else: it may grant a hold
  learned = (is_unsettled() and LOOK_TWICE or 0) + (pauses(true).swept > 0 and SWEPT or 0)
end

local answer = {now}
for i = FIRST + 1, #ARGV, 9 do
  local id = ARGV[i]
  local verdict = per_user(touch, id, ARGV[i + 1], ARGV[i + 2], ARGV[i + 3], ARGV[i + 4],
    ARGV[i + 5], ARGV[i + 6], ARGV[i + 7])
  answer[#answer + 1] = per_user(answer_of, verdict, ARGV[i + 8], id) or WRONG_TYPE
end
answer[#answer + 1] = learned

-- Where no streamd sweeps, the workers do, a little with each request.
if is_worker and not pauses(true).is_swept then
  local key = prefix .. 'presence:sweeping'
  require_right('SET', key, '1', 'NX', 'PX', '1')
  if redis.call('SET', key, '1', 'NX', 'PX', sweep_every) then
    sweep(20)
  end
end
return answer
