-- A browser's push subscription, new or sent again. Arguments: prefix, user id, tok, how many a user
-- may have, the subscription's id, its JSON. Returns 1, or 0 when the touch before it did not let the
-- token in. Past the limit those that were sent longest ago go.

local key = ARGV[1] .. 'push:subs:' .. ARGV[2]

local function created(text)
  local ok, subscription = pcall(cjson.decode, text)
  return ok and type(subscription) == 'table' and tonumber(subscription.created) or 0
end

local function drop_oldest()
  local all, oldest, oldest_at = redis.call('HGETALL', key), nil, math.huge
  for i = 1, #all, 2 do
    local at = created(all[i + 1])
    if all[i] ~= ARGV[5] and at < oldest_at then
      oldest, oldest_at = all[i], at
    end
  end
  redis.call('HDEL', key, oldest)
end

if not redis.call('ZSCORE', ARGV[1] .. 'user:sessions:' .. ARGV[2], 't:' .. ARGV[3]) then
  return 0
end
redis.call('HSET', key, ARGV[5], ARGV[6])
while redis.call('HLEN', key) > tonumber(ARGV[4]) do
  drop_oldest()
end
return 1
