-- Does what a call needs, on a key of its own that it leaves to nobody: a Redis that is full, a
-- replica, or a user without the rights is not healthy, though it answers PING. Own arguments: "1" to
-- go on past the first right that is missing.
-- Returns the rights that are missing, as "COMMAND key".

local lacking = {}

local function check(command, key, ...)
  if not redis.acl_check_cmd(command, key, ...) then
    local text = 'NOPERM the ACL lacks ' .. command .. ' ' .. key
    if ARGV[FIRST] ~= '1' then
      error({err = text})
    end
    lacking[#lacking + 1] = command .. ' ' .. key
  end
end

-- Every command on a key of each kind that the scripts and the programs use. The name in them is
-- one that no user has (a space is in no id).
local function check_all()
  local id = '{id}'
  local sessions, online = session_key(id), online_key(id)
  local version = prefix .. 'presence:version:' .. id
  local epoch, recovering = prefix .. 'presence:epoch', recovering_key
  local sweeping, throttle = prefix .. 'presence:sweeping', prefix .. 'presence:throttle:x'
  local websocket, ticket = prefix .. 'user:websocket:' .. id, prefix .. 'presence:ticket:x'
  local rate = prefix .. 'presence:rate:status:' .. id
  local cell, marks = cell_key(id), prefix .. 'presence:rate:location:' .. id
  local typing_rate, typing = prefix .. 'presence:rate:typing:' .. id, prefix .. 'presence:typing:' .. id
  local revoked, not_before = revoked_key(id, 'tok'), prefix .. 'presence:not_before:' .. id

  check('INFO', 'replication')
  check('MGET', revoked, not_before, online, seen_key(id), version, swept_key,
    hold_key, paused_key, sweeping, recovering, epoch)
  check('ZADD', sessions, '0', 's')
  check('ZREM', sessions, 's')
  check('ZRANGE', sessions, '0', '-1')
  check('ZRANGEBYSCORE', sessions, '0', '1')
  check('ZSCORE', sessions, 's')
  check('ZCARD', sessions)
  check('DEL', sessions, websocket)
  check('ZADD', deadlines, '0', 'id')
  check('ZREM', deadlines, 'id')
  check('ZRANGEBYSCORE', deadlines, '0', '1')
  check('EXISTS', online, revoked, not_before, hold_key, sweeping)
  check('SET', online, 's', 'PXAT', '1')
  check('PEXPIREAT', online, '0')
  check('DEL', online)
  check('SET', seen_key(id), 't', 'EX', '1')
  check('SET', version, '1', 'EX', '1')
  check('SADD', online_users, 'id')
  check('SREM', online_users, 'id')
  check('SISMEMBER', online_users, 'id')
  check('SMISMEMBER', online_users, 'id')
  check('SCARD', online_users)
  check('SSCAN', online_users, '0')
  for _, side in ipairs({'blocked', 'blocked_by'}) do
    local key = prefix .. 'user:' .. side .. ':' .. id
    check('SADD', key, 'id')
    check('SREM', key, 'id')
    check('SISMEMBER', key, 'id')
    check('SMISMEMBER', key, 'id')
    check('SCARD', key)
    check('SMEMBERS', key)
  end
  check('SET', websocket, 'w', 'PX', '1')
  check('SET', chosen_key(id), 'c', 'PXAT', '1')
  check('PEXPIREAT', chosen_key(id), '0')
  check('DEL', chosen_key(id))
  check('SET', settings_key(id), 's')
  check('DEL', settings_key(id))
  check('HGETALL', idle_key(id))
  check('HGET', idle_key(id), 'tok')
  check('HSET', idle_key(id), 'tok', '1')
  check('HDEL', idle_key(id), 'tok')
  check('ZADD', expiries, '0', 'id')
  check('ZREM', expiries, 'id')
  check('ZRANGEBYSCORE', expiries, '0', '1')
  check('MGET', rate, throttle, chosen_key(id), settings_key(id))
  check('PTTL', rate)
  check('SET', rate, '1', 'PX', '1')
  check('MGET', settings_key(id), typing_rate, typing)
  check('SET', typing_rate, '1', 'PX', '1')
  check('SET', typing, '1', 'PX', '1')
  check('DEL', typing)
  check('MGET', cell, marks)
  check('SET', cell, 'c', 'PX', '1')
  check('SET', marks, 'm', 'PX', '1')
  check('DEL', cell)
  check('SET', revoked, '1', 'EX', '1')
  check('SET', not_before, '1', 'EX', '1')
  check('SET', swept_key, '1')
  check('SET', hold_key, '1', 'PX', '1')
  check('SET', paused_key, '1')
  check('SET', sweeping, '1', 'NX', 'PX', '1')
  check('SET', recovering, '1', 'PX', '1')
  check('SET', epoch, '1', 'NX', 'GET')
  check('SET', ticket, '1', 'EX', '1')
  check('GETDEL', ticket)
  check('GET', swept_key)
  check('PTTL', throttle)
  check('SET', throttle, '1', 'PX', '1')
  check('DEL', throttle)
  check(PUBLISH, prefix .. 'user:status:' .. id, 'm')
  check(PUBLISH, prefix .. 'presence:broadcast', 'm')
  check(PUBLISH, prefix .. 'user:inbox:' .. id, 'm')
  check(PUBLISH, prefix .. 'presence:streamd:x', 'm')
end

check_all()
if #lacking == 0 then
  local key = prefix .. 'presence:health'
  redis.call('SET', key, '1', 'PX', 1000)
  redis.call('DEL', key)
  redis.call('ZADD', key, now, 's')
  redis.call('DEL', key)
end
return lacking
