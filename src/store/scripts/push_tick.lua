-- What each presence-pushd does every `sweep` seconds. Arguments: prefix, its name, how long it counts
-- as alive (ms), how many notifications at most are made due, how many at most are claimed.
-- Renews its lease, puts what is due back into the queue, and claims what a presence-pushd had taken
-- whose lease ran out. Returns {now in ms, the entries claimed}.

local prefix, name = ARGV[1], ARGV[2]
local queue, later, group = prefix .. 'push:queue', prefix .. 'push:later', 'push'
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)

local function lease(consumer)
  return prefix .. 'push:pushd:' .. consumer
end

-- The names of the group's other consumers; nil: the group is missing.
local function others()
  local list = redis.pcall('XINFO', 'CONSUMERS', queue, group)
  if list.err then
    return nil
  end
  local names = {}
  for _, fields in ipairs(list) do
    for i = 1, #fields, 2 do
      if fields[i] == 'name' and fields[i + 1] ~= name then
        names[#names + 1] = fields[i + 1]
      end
    end
  end
  return names
end

-- Takes over what one left behind; one who has nothing left is forgotten.
local function claim(consumer, limit)
  local ids = {}
  for _, pending in ipairs(redis.call('XPENDING', queue, group, '-', '+', limit, consumer)) do
    ids[#ids + 1] = pending[1]
  end
  if #ids == 0 then
    redis.call('XGROUP', 'DELCONSUMER', queue, group, consumer)
    return {}
  end
  return redis.call('XCLAIM', queue, group, name, 0, unpack(ids))
end

local consumers = others()
-- In a cluster, whose slot may be moving: see require_keys() in head.lua. Who lives has a lease: out of reach it
-- must not look like one that ran out.
if #KEYS > 0 then
  local keys = {queue, later, lease(name), prefix .. 'push:ticked'}
  for _, consumer in ipairs(consumers or {}) do
    keys[#keys + 1] = lease(consumer)
  end
  redis.call('EXISTS', unpack(keys))
end
if not consumers then
  redis.call('XGROUP', 'CREATE', queue, group, '0', 'MKSTREAM')
end
redis.call('SET', lease(name), '1', 'PX', ARGV[3])
redis.call('SET', prefix .. 'push:ticked', string.format('%.0f', now))

for _, member in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', string.format('%.0f', now),
  'LIMIT', 0, ARGV[4])) do
  redis.call('XADD', queue, '*', 'job', member:match('^%S+ (.*)$') or member)
  redis.call('ZREM', later, member)
end

local claimed, room = {}, tonumber(ARGV[5])
for _, consumer in ipairs(consumers or {}) do
  if room > 0 and redis.call('EXISTS', lease(consumer)) == 0 then
    for _, entry in ipairs(claim(consumer, room)) do
      claimed[#claimed + 1] = entry
      room = room - 1
    end
  end
end
return {now, claimed}
