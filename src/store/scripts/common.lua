-- What the scripts share.
--
-- Sessions are the truth (user:sessions:{id}: session -> deadline in ms); what others can see of a
-- user is derived from them (derive), and a change of that is published exactly once, by the script
-- that makes it (transition). A script reads first, then asks whether it may do all that it is going
-- to do (require_rights), then writes, then publishes: so it does all or nothing.
--
-- A deadline that ends in .5 was lowered by a stream that closed: such a session only waits for its
-- grace to pass, and its end reads "stream_closed". One that ends in .2 is a token's: a stream of it has
-- closed since its last request, and another one was still open.

local stream_ttl, grace, sweep_every, hold_for, recovering_for, version_ttl, max_sessions, max_streams, token_ttl,
  broadcast, last_seen_rule =
  string.match(ARGV[5], '^(%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d) (%l+)$')
stream_ttl, grace, hold_for = tonumber(stream_ttl), tonumber(grace), tonumber(hold_for) -- ms
max_sessions, max_streams = tonumber(max_sessions), tonumber(max_streams)
token_ttl = tonumber(token_ttl) -- s, token_lifetime
broadcast = broadcast == '1'

local expiries = prefix .. 'presence:expiries'
local swept_key = prefix .. 'presence:swept'
local hold_key = prefix .. 'presence:hold'
local paused_key = prefix .. 'presence:paused'
local recovering_key = prefix .. 'presence:recovering'

local function score(deadline)
  return string.format('%.1f', deadline)
end

local function chosen_key(id)
  return prefix .. 'user:chosen:' .. id
end

local function idle_key(id)
  return prefix .. 'user:idle:' .. id
end

local function websocket_key(id)
  return prefix .. 'user:websocket:' .. id
end

local function cell_key(id)
  return prefix .. 'user:cell:' .. id
end

local function settings_key(id)
  return prefix .. 'user:settings:' .. id
end

local function inbox_channel(id)
  return prefix .. 'user:inbox:' .. id
end

local function revoked_key(id, tok)
  return prefix .. 'presence:revoked:' .. id .. '/' .. tok
end

local CLOSING, LEFT = 0.5, 0.2

local function is_closing(deadline)
  return deadline % 1 == CLOSING
end

local function is_stream(session)
  return session:sub(1, 2) == 's:'
end

-- Whether a session belongs to a stream of the token `tok`.
local function is_stream_of(session, tok)
  local head = 's:' .. tok .. ':'
  return session:sub(1, #head) == head and not session:find(':', #head + 1, true)
end

local function token_of(session)
  return session:match('^t:(.*)$') or session:match('^s:(.*):[^:]*$') or session
end

-- Runs f for one user of many. What somebody else wrote under one of our names spoils that user alone
-- (nil): a key of the wrong type, or a text that Lua itself stumbles over ("attempt to ..."). Any other
-- error is Redis' and ends the script, with its code as the first word.
local function per_user(f, ...)
  local ok, result = pcall(f, ...)
  if ok then
    return result
  end
  local text = type(result) == 'table' and result.err or tostring(result)
  if text:find('WRONGTYPE', 1, true) or text:find('^user_script:%d+: %l') then
    return nil
  end
  error({err = text:gsub('^ERR user_script:%d+: ', '')})
end

-- A String of ours, or nil: a key of another type is as good as none.
local function get(key)
  return redis.call('MGET', key)[1] or nil
end

-- Before the first write, for every change that a transition may bring with it: that the script may do
-- it, and that no key of the user has a type at which it would stop halfway.
local function require_rights(id)
  local version = prefix .. 'presence:version:' .. id
  if is_sharded then
    require_keys(session_key(id), deadlines, seen_key(id), online_key(id), websocket_key(id),
      chosen_key(id), settings_key(id), cell_key(id), idle_key(id), expiries, online_users, version,
      prefix .. 'presence:rate:status:' .. id, prefix .. 'presence:rate:idle:' .. id,
      prefix .. 'push:subs:' .. id, prefix .. 'push:waiting:' .. id, prefix .. 'push:queue')
  end
  require_renewal_rights(id)
  require_right('ZREM', session_key(id), 's')
  require_right('DEL', session_key(id))
  require_right('ZREM', deadlines, 'id')
  require_right('SET', online_key(id), 's', 'PXAT', '1')
  require_right('DEL', online_key(id))
  require_right('DEL', websocket_key(id))
  require_right('DEL', cell_key(id))
  require_right('MGET', chosen_key(id), settings_key(id), version)
  require_right('HGETALL', idle_key(id))
  require_right('HDEL', idle_key(id), 'tok')
  require_right('DEL', idle_key(id))
  require_right('ZADD', expiries, '0', 'id')
  require_right('ZREM', expiries, 'id')
  require_right(PUBLISH, inbox_channel(id), 'm')
  require_right('SADD', online_users, 'id')
  require_right('SREM', online_users, 'id')
  require_right('SET', version, '1', 'EX', '1')
  require_right(PUBLISH, prefix .. 'user:status:' .. id, 'm')
  if broadcast then
    require_right(PUBLISH, prefix .. 'presence:broadcast', 'm')
  end
  redis.call('ZCARD', session_key(id))
  redis.call('HGETALL', idle_key(id))
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
  if is_sharded then
    require_keys(hold_key, paused_key)
  end
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

-- A JSON object of ours, or nil: what somebody else wrote there is as good as nothing.
local function decode(text)
  local ok, value = pcall(cjson.decode, text or 'null')
  return ok and type(value) == 'table' and value or nil
end

local STATES = {online = true, away = true, busy = true, meeting = true, dnd = true, invisible = true}

local CHOSEN_MAX, TEXT_MAX, EMOJI_MAX = 2048, 400, 64 -- bytes
local LAST_MOMENT = 253402300799999 -- ms, of the year 9999

-- The text, if it is UTF-8 without controls and of 1 to `max` bytes.
local function line_of(text, max)
  if type(text) ~= 'string' or #text < 1 or #text > max or text:find('%c') then
    return nil
  end
  if text:find('[\128-\255]') then
    local rest = text:gsub('[\240-\244][\128-\191][\128-\191][\128-\191]', '.')
      :gsub('[\224-\239][\128-\191][\128-\191]', '.'):gsub('[\194-\223][\128-\191]', '.')
    if rest:find('[\128-\255]') or text:find('\224[\128-\159]') or text:find('\237[\160-\191]')
      or text:find('\240[\128-\143]') or text:find('\244[\144-\191]') then
      return nil
    end
  end
  return text
end

-- The state that the user chose: {status, text, emoji, ends (ms)}, each or nil; nil when it has ended,
-- and for a text that no program of ours wrote.
local function read_chosen(text)
  local value = text and #text <= CHOSEN_MAX and decode(text) or {}
  local ends = tonumber(value.ends)
  local chosen = {
    status = STATES[value.status] and value.status,
    text = line_of(value.text, TEXT_MAX),
    emoji = line_of(value.emoji, EMOJI_MAX),
    ends = ends,
  }
  if ends and not (ends > now and ends <= LAST_MOMENT) or not (chosen.status or chosen.text or chosen.emoji) then
    return nil
  end
  return chosen
end

-- As it is kept in user:chosen:{id}.
local function json_of_chosen(chosen)
  local members = {}
  for _, name in ipairs({'status', 'text', 'emoji'}) do
    if chosen[name] then
      members[#members + 1] = '"' .. name .. '":' .. cjson.encode(chosen[name])
    end
  end
  if chosen.ends then
    members[#members + 1] = '"ends":' .. integer(chosen.ends)
  end
  return '{' .. table.concat(members, ',') .. '}'
end

-- A token's mark is the moment (ms) since when it is idle; with a minus before it, since when it is not
-- any more. Such a moment lies ahead where there were too many changes.
local function says_idle(mark)
  local moment = tonumber(mark) or 0
  return moment >= 0 and moment <= now or -moment > now
end

-- What the idle marks say: whether every token with a live session is idle, and when that may be
-- otherwise by itself, or nil. `live`: token -> its latest deadline. Returns the marks, too.
local function read_idle(id, live)
  local marks = redis.call('HGETALL', idle_key(id))
  local is_idle, changes, active_until = {}, math.huge, nil
  for i = 1, #marks, 2 do
    local tok, moment = marks[i], math.abs(tonumber(marks[i + 1]) or 0)
    is_idle[tok] = says_idle(marks[i + 1])
    if live[tok] and moment > now then
      changes = math.min(changes, moment)
    end
  end
  for tok, deadline in pairs(live) do
    if not is_idle[tok] then
      active_until = math.max(active_until or 0, deadline)
    end
  end
  if #marks > 0 and active_until then
    changes = math.min(changes, active_until)
  end
  return #marks > 0 and not active_until, changes < math.huge and changes or nil, marks
end

-- The one rule for what a user looks like. It follows from the sessions: `live`, until when (`lasts`),
-- whether that is owed to spared sessions alone, `has_stream`, and the `reason` that their end has or
-- had; and of a live one from the state that was chosen and from the idle marks: `online`, which is
-- what others see, `status`, `text`, `emoji`, `ends`. `hides`: chose to be invisible, and then `status`
-- is what the user alone sees. `changes` is when it may follow otherwise by itself (ms).
local function derive(id)
  local sessions = redis.call('ZRANGE', session_key(id), 0, -1, 'WITHSCORES') -- by deadline
  local lasts, latest, live, has_stream = 0, 0, {}, false
  for i = 1, #sessions, 2 do
    local session = sessions[i]
    latest = tonumber(sessions[i + 1])
    local gone = gone_at(session, latest)
    if gone > now then
      live[token_of(session)] = math.max(live[token_of(session)] or 0, gone)
      has_stream = has_stream or is_stream(session) and not is_closing(latest)
    end
    lasts = math.max(lasts, gone)
  end
  local state = {
    live = lasts > now,
    lasts = lasts,
    is_spared = lasts > now and latest <= now,
    has_stream = has_stream,
    reason = is_closing(latest) and 'stream_closed' or 'expired',
  }
  local chosen = read_chosen(get(chosen_key(id)))
  state.chosen = chosen and json_of_chosen(chosen)
  state.hides = chosen and chosen.status == 'invisible'
  if not state.live then
    return state
  end
  chosen = chosen or {}
  local is_idle, idle_changes, marks = read_idle(id, live)
  state.tokens, state.marks = live, marks
  state.online = not state.hides
  state.status = not state.hides and chosen.status or is_idle and 'away' or 'online'
  state.is_automatic = state.hides or not chosen.status
  state.text, state.emoji, state.ends = chosen.text, chosen.emoji, chosen.ends
  state.changes = chosen.ends
  if state.is_automatic and idle_changes then
    state.changes = math.min(state.changes or idle_changes, idle_changes)
  end
  return state
end

local function json_id(id)
  return id:find('^%d+$') and id or '"' .. id .. '"'
end

-- Days since 1970 of a civil date.
local function days_of(year, month, day)
  year = month <= 2 and year - 1 or year
  local era = math.floor(year / 400)
  local yoe = year - era * 400
  local doy = math.floor((153 * (month > 2 and month - 3 or month + 9) + 2) / 5) + day - 1
  return era * 146097 + yoe * 365 + math.floor(yoe / 4) - math.floor(yoe / 100) + doy - 719468
end

local STRICTNESS = {exact = 0, coarse = 1, nobody = 2}

-- The stricter of the site's rule and the user's own.
local function rule_of(id)
  local settings = decode(get(settings_key(id))) or {}
  local own = STRICTNESS[settings.last_seen] and settings.last_seen or last_seen_rule
  return STRICTNESS[own] > STRICTNESS[last_seen_rule] and own or last_seen_rule
end

-- A time that others may see, as JSON, and what stands after it when it is rounded (times_coarsen()
-- of the programs does the same): one younger than an hour to 5 minutes, than a day to the hour, else
-- to the day.
local function json_seen(id, text)
  local year, month, day, hour, minute, second =
    (text or ''):match('^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)Z$')
  local rule = rule_of(id)
  if not year or rule == 'nobody' then
    return 'null', ''
  elseif rule == 'exact' then
    return '"' .. text .. '"', ''
  end
  local time = days_of(tonumber(year), tonumber(month), tonumber(day)) * 86400 + hour * 3600
    + minute * 60 + second
  local age = seconds - time
  local step = age < 3600 and 300 or age < 86400 and 3600 or 86400
  return '"' .. time_of(time - time % step) .. '"', ',"last_seen_coarse":true'
end

-- What stands in an online STATUS after the version: the chosen text and emoji, and their end.
local function json_chosen(state)
  return (state.text and ',"text":' .. cjson.encode(state.text) or '')
    .. (state.emoji and ',"emoji":' .. cjson.encode(state.emoji) or '')
    .. (state.ends and ',"status_expires":"' .. time_of(math.floor(state.ends / 1000)) .. '"' or '')
end

local function online_status(id, state, version)
  local seen, coarse = json_seen(id, get(seen_key(id)))
  return '{"user_id":' .. json_id(id) .. ',"is_online":true,"status":"' .. state.status
    .. '","last_activity":' .. seen .. ',"version":' .. version .. json_chosen(state) .. coarse
end

local function offline_status(id, version)
  local seen, coarse = json_seen(id, get(seen_key(id)))
  return '{"user_id":' .. json_id(id) .. ',"is_online":false,"status":"offline","last_seen":'
    .. seen .. ',"version":' .. version .. coarse
end

-- Whether a STATUS that was told says what the state is.
local function says(status, state)
  local told = decode(status)
  return told and told.status == state.status and told.text == state.text
    and told.emoji == state.emoji
    and told.status_expires == (state.ends and time_of(math.floor(state.ends / 1000)))
end

local function read_version(id)
  local stored = tonumber(get(prefix .. 'presence:version:' .. id) or 0) or 0
  return stored >= 0 and stored < 2 ^ 53 - 1 and stored or 0
end

-- An order, never a time: 10^9 a week, one more with each change. What an older release stored is
-- larger, and counted on from.
local function next_version(id)
  return integer(math.max(read_version(id) + 1, math.floor(seconds / 604800) * 1e9))
end

local function write_version(id, version)
  redis.call('SET', prefix .. 'presence:version:' .. id, version, 'EX', version_ttl)
end

-- The service's figures count changes by their reason; that never keeps one from being told.
local function publish(id, status, reason)
  redis.pcall('HINCRBY', prefix .. 'presence:transitions', reason, 1)
  local message = status .. ',"reason":"' .. reason .. '"}'
  redis.call(PUBLISH, prefix .. 'user:status:' .. id, message)
  if broadcast then
    redis.call(PUBLISH, prefix .. 'presence:broadcast', message)
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
local CHANGE_REASONS = {status = true, status_expired = true, idle = true, active = true}

local function announce_online(id, state, reason)
  local version = next_version(id)
  local status = online_status(id, state, version)
  write_version(id, version)
  write_online(id, status, state.lasts)
  publish(id, status, reason)
end

local function write_seen(id)
  redis.call('SET', seen_key(id), timestamp(), 'EX', last_seen_ttl)
end

local function go_online(id, state, reason)
  if not ONLINE_REASONS[reason] then
    reason = state.has_stream and 'stream_open' or 'activity'
  end
  if not get(seen_key(id)) then
    write_seen(id) -- of one who waited for a Redis that was wiped
  end
  queue_waiting(id)
  announce_online(id, state, reason)
end

-- A user who stays online looks otherwise.
local function go_on(id, state, reason, told)
  if not CHANGE_REASONS[reason] then
    local was = decode(told) or {}
    reason = state.is_automatic and state.status == 'away' and 'idle'
      or state.is_automatic and was.status == 'away' and 'active' or 'status'
  end
  announce_online(id, state, reason)
end

-- user:online:{id} ran out while nobody could renew it; nobody was told that the user is offline.
local function restore_online(id, state)
  local version = get(prefix .. 'presence:version:' .. id)
  if not version or not version:find('^%d+$') then
    version = next_version(id)
    write_version(id, version)
  end
  write_online(id, online_status(id, state, version), state.lasts)
end

-- Before something changes for a user who is spared: what others were told last is written again, so that
-- the change is told, and nothing but the change. The caller had require_rights(id).
local function bring_back(id)
  if get(online_key(id)) or redis.call('SISMEMBER', online_users, id) == 0 then
    return
  end
  local state = derive(id)
  if state.online and state.is_spared then
    restore_online(id, state)
  end
end

local function go_offline(id, reason)
  local version = next_version(id)
  local status = offline_status(id, version)
  redis.call('DEL', online_key(id), websocket_key(id), cell_key(id))
  redis.call('SREM', online_users, id)
  write_version(id, version)
  publish(id, status, reason)
end

local function forget_sessions(id)
  redis.call('DEL', session_key(id), websocket_key(id), cell_key(id), idle_key(id))
  redis.call('ZREM', deadlines, id)
  redis.call('ZREM', expiries, id)
end

-- Notes when to look at a live user again, and forgets the marks of tokens that are gone or not idle.
local function keep(id, state)
  redis.call('ZADD', deadlines, score(state.lasts), id)
  if state.changes then
    redis.call('ZADD', expiries, integer(state.changes), id)
  else
    redis.call('ZREM', expiries, id)
  end
  for i = 1, #state.marks, 2 do
    local tok, moment = state.marks[i], tonumber(state.marks[i + 1]) or 0
    if not state.tokens[tok] or moment < 0 and -moment <= now then
      redis.call('HDEL', idle_key(id), tok)
    end
  end
end

-- The user's own STATUS, without its last brace: the real state, an exact time, and whether it hides.
local function own_status(id, state)
  local seen = get(seen_key(id))
  local time = seen and #seen == 20 and seen:find('^[%d:TZ-]+$') and '"' .. seen .. '"' or 'null'
  local version = integer(read_version(id))
  local hides = state.hides and ',"invisible":true' or ''
  if not state.live then
    return '{"user_id":' .. json_id(id) .. ',"is_online":false,"status":"offline","last_seen":' .. time
      .. ',"version":' .. version .. hides
  end
  return '{"user_id":' .. json_id(id) .. ',"is_online":true,"status":"' .. state.status
    .. '","last_activity":' .. time .. ',"version":' .. version .. json_chosen(state) .. hides
end

-- The user's own streams show their user, too, and more than others see.
local function tell_self(id, state)
  redis.call(PUBLISH, inbox_channel(id), '{"type":"self","status":' .. own_status(id, state)
    .. '},"chosen":' .. (state.chosen or 'null') .. '}')
end

-- After sessions were made, lowered or removed, or have lapsed, or another state was chosen: compares
-- what others can see now with what they were told last, which user:online:{id} and online_users
-- together tell, and publishes if it differs. `reason` nil: the one that follows. The caller had
-- require_rights(id), and bring_back(id) before it changed what a spared user looks like. Returns the
-- state, and whether it was published.
local function transition(id, reason)
  local state = derive(id)
  local told = get(online_key(id))
  local is_member = redis.call('SISMEMBER', online_users, id) == 1
  local is_told = true
  if not state.live then
    forget_sessions(id)
  else
    keep(id, state)
  end
  if not state.online then
    if told or is_member then
      go_offline(id, state.live and 'stream_closed' or reason or state.reason)
    else
      is_told = false
    end
  elseif told and is_member and says(told, state) then
    redis.call('PEXPIREAT', online_key(id), integer(math.ceil(state.lasts)))
    is_told = false
  elseif told and is_member then
    go_on(id, state, reason, told)
  elseif is_member and state.is_spared then
    restore_online(id, state)
    is_told = false
  else
    go_online(id, state, reason)
  end
  if is_told or state.live and state.hides then
    tell_self(id, state)
  end
  return state, is_told or state.live and state.hides
end

-- presence:recovering is set by whoever makes the new epoch, and anew by each presence-streamd that learns
-- of the wipe, within a sweep, and as long as it registers its streams: once it was not for a little more
-- than that, all are registered. Between the wipe and the new epoch nothing in Redis tells of it. Asked for
-- when it is needed: {lasts: for how many ms more, is_noted: by presence:recovering}.
local known_recovery

local function recovery()
  if not known_recovery then
    local fresh = 1.2 * math.max(sweep_every, 1000)
    local is_noted = redis.call('EXISTS', recovering_key) == 1
    known_recovery = {lasts = 0, is_noted = is_noted}
    if is_noted then
      known_recovery.lasts = redis.call('PTTL', recovering_key) - recovering_for + fresh
    elseif redis.call('EXISTS', prefix .. 'presence:epoch') == 0 then
      known_recovery.lasts = fresh
    end
  end
  return known_recovery
end

-- Whether Redis was wiped and is not filled again. Then sessions of open streams may be missing, so that
-- nobody is to be taken for offline; and a state that was chosen may be, so that who does not know it better
-- must not bring anybody online. `lost`: the caller has seen an epoch before. Returns for how many ms more,
-- or nil.
local function is_recovering(lost)
  local known = recovery()
  return known.lasts > 0 and (known.is_noted or lost) and known.lasts or nil
end

-- A transition by one who does not know what was chosen and who else is there: it may have to wait until
-- that is known. Not of one who hides: such a user's renewals would put off the time to look again.
local function settle(id, reason, lost)
  local wait = is_recovering(lost)
  local state = wait and derive(id)
  if wait and not (state.live and (state.hides or redis.call('EXISTS', online_key(id)) == 1)) then
    redis.call('ZADD', deadlines, integer(now + wait), id)
    return {}, false
  end
  return transition(id, reason)
end

local lateness = {} -- of those whom a sweep took offline: ms since their last deadline

local function expire(id)
  require_rights(id)
  local state, is_told = settle(id)
  if is_told and not state.live and state.lasts > 0 then
    lateness[#lateness + 1] = math.floor(now - state.lasts)
  end
  return true
end

local function end_state(id)
  require_rights(id)
  local told = decode(get(online_key(id))) or {}
  local has_ended = type(told.status_expires) == 'string' and told.status_expires <= timestamp()
  redis.call('ZREM', expiries, id)
  transition(id, has_ended and 'status_expired' or nil)
  return true
end

-- Looks at up to `limit` users for whom the time in the Sorted Set has come; returns how many.
local function sweep_set(set, limit, look)
  local ids = redis.call('ZRANGEBYSCORE', set, '-inf', integer(now), 'LIMIT', 0, limit)
  if #ids > 0 then
    pauses(true)
  end
  for _, id in ipairs(ids) do
    if not per_user(look, id) then
      redis.call('ZADD', set, integer(now + 60000), id) -- looked at again when mended
    end
  end
  return #ids
end

-- Ends up to `limit` users whose deadline has passed, and as many chosen states; returns how many
-- were looked at, of the larger number.
local function sweep(limit)
  return math.max(sweep_set(deadlines, limit, expire), sweep_set(expiries, limit, end_state))
end
