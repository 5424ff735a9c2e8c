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

-- The consumers of the group: name -> how many entries each has. Makes the group if it is missing.
local function consumers()
  local list = redis.pcall('XINFO', 'CONSUMERS', queue, group)
  local found = {}
  if list.err then
    redis.call('XGROUP', 'CREATE', queue, group, '0', 'MKSTREAM')
    return found
  end
  for _, fields in ipairs(list) do
    local consumer = {}
    for i = 1, #fields, 2 do
      consumer[fields[i]] = fields[i + 1]
    end
    found[consumer.name] = consumer.pending
  end
  return found
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

-- In a cluster, whose slot may be moving: see require_keys() in head.lua.
if #KEYS > 0 then
  redis.call('EXISTS', queue, later, lease(name), prefix .. 'push:ticked')
end
redis.call('SET', lease(name), '1', 'PX', ARGV[3])
redis.call('SET', prefix .. 'push:ticked', string.format('%.0f', now))

for _, member in ipairs(redis.call('ZRANGEBYSCORE', later, '-inf', string.format('%.0f', now),
  'LIMIT', 0, ARGV[4])) do
  redis.call('XADD', queue, '*', 'job', member:match('^%S+ (.*)$') or member)
  redis.call('ZREM', later, member)
end

local claimed, room = {}, tonumber(ARGV[5])
for consumer, _ in pairs(consumers()) do
  if room > 0 and consumer ~= name and redis.call('EXISTS', lease(consumer)) == 0 then
    for _, entry in ipairs(claim(consumer, room)) do
      claimed[#claimed + 1] = entry
      room = room - 1
    end
  end
end
return {now, claimed}
