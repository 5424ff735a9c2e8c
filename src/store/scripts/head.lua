-- What every script begins with.
--
-- The scripts are the only writers of a user's presence. The first arguments are the settings: these,
-- and in the fifth the ones that common.lua reads; the script's own start at FIRST.

local prefix = ARGV[1]
local online_ttl = tonumber(ARGV[2]) -- ms
local pause = tonumber(ARGV[3]) -- ms; presence:swept older than that: everything stood still
local last_seen_ttl = ARGV[4] -- s
local FIRST = 6

-- In a cluster each call declares a key of its partition, so that a wrong node answers MOVED, and channels
-- are sharded.
local is_sharded = #KEYS > 0
local PUBLISH = is_sharded and 'SPUBLISH' or 'PUBLISH'

local clock = redis.call('TIME')
local seconds = tonumber(clock[1])
local now = seconds * 1000 + math.floor(clock[2] / 1000) -- Redis' own clock, ms

local deadlines = prefix .. 'presence:deadlines'
local online_users = prefix .. 'online_users'

-- tostring() would print 1.79e+15.
local function integer(value)
  return string.format('%.0f', value)
end

local known_time
local function timestamp()
  known_time = known_time or time_of(seconds)
  return known_time
end

local function session_key(id)
  return prefix .. 'user:sessions:' .. id
end

local function online_key(id)
  return prefix .. 'user:online:' .. id
end

local function seen_key(id)
  return prefix .. 'user:last_seen:' .. id
end

local function require_right(command, key, ...)
  if not redis.acl_check_cmd(command, key, ...) then
    error({err = 'NOPERM the ACL lacks ' .. command .. ' ' .. key})
  end
end

-- Before the first write, in a cluster. The slot of the keys may be moving to another server, and then some
-- are out of reach: one question for all of them finds that out, and the script fails before it did half. Of
-- one key alone the new server would say that it is not there: so the call's own is asked for with it.
local function require_keys(...)
  redis.call('EXISTS', KEYS[1], ...)
end

local function require_renewal_rights(id)
  require_right('ZADD', session_key(id), '0', 's')
  require_right('ZADD', deadlines, '0', 'id')
  require_right('SET', seen_key(id), 't', 'EX', '1')
  require_right('PEXPIREAT', online_key(id), '0')
end

-- For a renewal, which nobody else can see.
local function require_renewal(id)
  if is_sharded then
    require_keys(session_key(id), deadlines, seen_key(id), online_key(id))
  end
  require_renewal_rights(id)
end

-- Afterwards the user, who is online, is so until `latest` at least.
local function renew(id, latest)
  redis.call('SET', seen_key(id), timestamp(), 'EX', last_seen_ttl)
  redis.call('ZADD', deadlines, 'GT', integer(latest), id)
  redis.call('PEXPIREAT', online_key(id), integer(latest), 'GT')
end
