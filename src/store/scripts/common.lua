-- Shared by every script: the build puts this text in front of each of them.
--
-- The scripts are the only writers of a user's presence. Sessions are the
-- truth (user:sessions:{id}: session -> deadline in ms of Redis' own clock);
-- whether a user is online is derived from them, and a change is published
-- exactly once, by the script that makes it.
--
-- A deadline that ends in .5 was lowered by a stream that closed: such a
-- session only waits for its grace to pass, and its end reads "stream_closed".

local prefix = ARGV[1]
local online_ttl = tonumber(ARGV[2]) -- ms
local stream_ttl = tonumber(ARGV[3]) -- ms
local grace = tonumber(ARGV[4]) -- ms
local sweep_every = tonumber(ARGV[5]) -- ms
local hold_for = tonumber(ARGV[6]) -- ms
local last_seen_ttl = ARGV[7] -- s
local max_sessions = tonumber(ARGV[8])
local max_streams = tonumber(ARGV[9])
local broadcast = ARGV[10] == '1'
local FIRST = 11 -- where a script's own arguments start

local clock = redis.call('TIME')
local micros = clock[1] * 1000000 + clock[2]
local now = math.floor(micros / 1000)

local deadlines = prefix .. 'presence:deadlines'
local online_users = prefix .. 'online_users'

-- tostring() would print 1.79e+15.
local function integer(value)
  return string.format('%.0f', value)
end

local function score(deadline)
  return string.format('%.1f', deadline)
end

-- RFC 3339 of Redis' clock; days to a civil date, counted from 0000-03-01.
local function timestamp()
  local seconds = tonumber(clock[1])
  local days = math.floor(seconds / 86400) + 719468
  local rest = seconds % 86400
  local era = math.floor(days / 146097)
  local doe = days - era * 146097
  local yoe = math.floor((doe - math.floor(doe / 1460) + math.floor(doe / 36524) - math.floor(doe / 146096)) / 365)
  local doy = doe - (365 * yoe + math.floor(yoe / 4) - math.floor(yoe / 100))
  local mp = math.floor((5 * doy + 2) / 153)
  local day = doy - math.floor((153 * mp + 2) / 5) + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  return string.format('%04d-%02d-%02dT%02d:%02d:%02dZ', year, month, day,
    math.floor(rest / 3600), math.floor(rest / 60) % 60, rest % 60)
end

local function session_key(id)
  return prefix .. 'user:sessions:' .. id
end

local function is_closing(deadline)
  return deadline % 1 ~= 0
end

-- Whether a session belongs to a stream of the token `tok`.
local function is_stream_of(session, tok)
  local head = 's:' .. tok .. ':'
  return session:sub(1, #head) == head and not session:find(':', #head + 1, true)
end

-- Runs f for one user of many. A key of the wrong type, which somebody else wrote under one of our
-- names, spoils that user alone (nil); any other error is Redis' and ends the script.
local function guarded(f, ...)
  local ok, result = pcall(f, ...)
  if ok then
    return result
  end
  local text = type(result) == 'table' and result.err or tostring(result)
  if not text:find('WRONGTYPE', 1, true) then
    error(result)
  end
  return nil
end

-- The tail of every transition: a new version, the change on its channels.
local function publish(id, status, reason)
  local message = status .. ',"reason":"' .. reason .. '"}'
  redis.call('PUBLISH', prefix .. 'user:status:' .. id, message)
  if broadcast then
    redis.call('PUBLISH', prefix .. 'presence:broadcast', message)
  end
end

local function next_version(id)
  local key = prefix .. 'presence:version:' .. id
  local version = integer(math.max((tonumber(redis.call('GET', key) or 0) or 0) + 1, micros))
  redis.call('SET', key, version, 'EX', last_seen_ttl)
  return version
end

local function json_id(id)
  return id:find('^%d+$') and id or '"' .. id .. '"'
end

local function go_online(id, reason, latest, seen)
  local status = '{"user_id":' .. json_id(id) .. ',"is_online":true,"status":"online","last_activity":"'
    .. seen .. '","version":' .. next_version(id)
  redis.call('SET', prefix .. 'user:online:' .. id, status .. '}', 'PXAT', integer(math.ceil(latest)))
  redis.call('SADD', online_users, id)
  publish(id, status, reason)
end

-- Forgets a user's sessions; publishes when the key or the Set still said online.
local function go_offline(id, reason)
  local was_key = redis.call('DEL', prefix .. 'user:online:' .. id)
  local was_member = redis.call('SREM', online_users, id)
  redis.call('DEL', session_key(id), prefix .. 'user:websocket:' .. id)
  redis.call('ZREM', deadlines, id)
  if was_key == 0 and was_member == 0 then
    return false
  end
  local seen = redis.call('GET', prefix .. 'user:last_seen:' .. id)
  seen = seen and seen:find('^[%d:TZ-]+$') and '"' .. seen .. '"' or 'null'
  publish(id, '{"user_id":' .. json_id(id) .. ',"is_online":false,"status":"offline","last_seen":'
    .. seen .. ',"version":' .. next_version(id), reason)
  return true
end

-- After sessions were lowered or removed: the latest deadline that is left decides.
local function settle(id, reason)
  local last = redis.call('ZREVRANGE', session_key(id), 0, 0, 'WITHSCORES')
  local latest = tonumber(last[2] or 0)
  if latest <= now then
    return go_offline(id, reason)
  end
  redis.call('ZADD', deadlines, score(latest), id)
  redis.call('PEXPIREAT', prefix .. 'user:online:' .. id, integer(math.ceil(latest)))
  return false
end

-- One user whose deadline has passed: ended, or looked at again later. A user with a stream's
-- session is spared until `spare` ms behind the deadline, and in any case for `hold` more ms from
-- now: after a pause the living must have a chance to renew first.
local function expire(id, spare, hold)
  local sessions = redis.call('ZRANGE', session_key(id), 0, -1, 'WITHSCORES')
  local latest, streaming = 0, false
  for i = 1, #sessions, 2 do
    latest = tonumber(sessions[i + 1]) -- in ascending order
    streaming = streaming or sessions[i]:sub(1, 2) == 's:' and not is_closing(latest)
  end
  local wait = latest
  if streaming then
    wait = math.max(latest + spare, hold > 0 and now + hold or 0)
  end
  if wait > now then
    redis.call('ZADD', deadlines, score(wait), id)
  else
    go_offline(id, is_closing(latest) and 'stream_closed' or 'expired')
  end
  return true
end

-- Expires up to `limit` users; returns how many were looked at.
local function sweep(limit, spare, hold)
  local ids = redis.call('ZRANGEBYSCORE', deadlines, '-inf', integer(now), 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    if not guarded(expire, id, spare, hold) then
      redis.call('ZADD', deadlines, integer(now + 60000), id) -- looked at again when mended
    end
  end
  return #ids
end
