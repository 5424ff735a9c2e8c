-- A browser's push subscription, new or sent again. Arguments: prefix, user id, tok, iat, how many a user
-- may have, the subscription's id, its JSON. Returns 1, or 0 when the token is revoked. Past the limit
-- those that were sent longest ago go.

local limit, subscription_id = tonumber(ARGV[5]), ARGV[6]
local key = ARGV[1] .. 'push:subs:' .. ARGV[2]

local function created(text)
  local ok, subscription = pcall(cjson.decode, text)
  return ok and type(subscription) == 'table' and tonumber(subscription.created) or 0
end

local function drop_oldest()
  local all, oldest, oldest_at = redis.call('HGETALL', key), nil, math.huge
  for i = 1, #all, 2 do
    local at = created(all[i + 1])
    if all[i] ~= subscription_id and at < oldest_at then
      oldest, oldest_at = all[i], at
    end
  end
  redis.call('HDEL', key, oldest)
end

if not is_let_in(ARGV[1], ARGV[2], ARGV[3], ARGV[4]) then
  return 0
end
redis.call('HSET', key, subscription_id, ARGV[7])
while redis.call('HLEN', key) > limit do
  drop_oldest()
end
return 1
