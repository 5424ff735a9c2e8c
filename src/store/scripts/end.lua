-- Logout, kick, and forgetting: ends sessions for good. Own arguments: id, tok ("" = the operator's
-- kick), iat, exp, leeway (s), "1" for every session and token of the user, reason, "1" when the caller has
-- seen an epoch before, and to forget the user: how far an issuer's clock may be ahead (s; "" = do not
-- forget), and the user's keys, which go.
-- Returns {verdict}: 0 done, 1 the token was revoked before.

local id, tok = ARGV[FIRST], ARGV[FIRST + 1]
local iat, exp = tonumber(ARGV[FIRST + 2]), tonumber(ARGV[FIRST + 3])
local leeway = tonumber(ARGV[FIRST + 4])
local all, reason = ARGV[FIRST + 5] == '1', ARGV[FIRST + 6]
local knows_epoch = ARGV[FIRST + 7] == '1'
local ahead, first_forgotten = tonumber(ARGV[FIRST + 8]), FIRST + 9
local key = session_key(id)
local inbox = prefix .. 'user:inbox:' .. id
local not_before_key = prefix .. 'presence:not_before:' .. id

local function revoke(name, expires)
  local ttl = math.max(expires - seconds, token_ttl) + leeway
  redis.call('SET', revoked_key(id, name), '1', 'EX', integer(ttl))
end

if tok ~= '' then
  local known = redis.call('MGET', revoked_key(id, tok), not_before_key)
  if known[1] or known[2] and iat < (tonumber(known[2]) or 0) then
    return {1}
  end
end

-- The push subscriptions made with this token, or all of the user's.
local function forget_subscriptions()
  local subscriptions = prefix .. 'push:subs:' .. id
  if not redis.acl_check_cmd('HGETALL', subscriptions) or not redis.acl_check_cmd('DEL', subscriptions)
    or not redis.acl_check_cmd('HDEL', subscriptions, 'f') then
    return
  end
  if all then
    redis.call('DEL', subscriptions)
    return
  end
  local list = redis.pcall('HGETALL', subscriptions)
  for i = 1, list.err and 0 or #list, 2 do
    local ok, subscription = pcall(cjson.decode, list[i + 1])
    if ok and type(subscription) == 'table' and subscription.tok == tok then
      redis.call('HDEL', subscriptions, list[i])
    end
  end
end

local sessions = redis.call('ZRANGE', key, 0, -1)
pauses(true)
require_rights(id)
recovery() -- before the first write
if is_sharded then
  require_keys(not_before_key, revoked_key(id, tok))
  for _, session in ipairs(sessions) do
    require_keys(revoked_key(id, token_of(session)))
  end
end
require_right('SET', revoked_key(id, tok), '1', 'EX', '1')
require_right('SET', not_before_key, '1', 'EX', '1')
require_right(PUBLISH, inbox, 'm')

for i = ahead and first_forgotten or #ARGV + 1, #ARGV do
  require_right('DEL', ARGV[i])
  if is_sharded then
    require_keys(ARGV[i])
  end
end

if not (all or is_recovering(knows_epoch)) then
  bring_back(id)
end
if all then
  -- An issuer's clock may be ahead, and iat has whole seconds: tokens in use are named one by one.
  -- Of a user who is forgotten nothing is named: whatever may have been issued by now is refused.
  local from = ahead and seconds + 1 + ahead or seconds
  redis.call('SET', not_before_key, integer(from), 'EX',
    integer(math.max(token_ttl, tonumber(last_seen_ttl)) + (ahead or 0)))
  for _, session in ipairs(ahead and {} or sessions) do
    revoke(session:match('^t:(.*)$') or session:match('^s:(.*):') or session, 0)
  end
  redis.call('DEL', key)
else
  for _, session in ipairs(sessions) do
    if session == 't:' .. tok or is_stream_of(session, tok) then
      redis.call('ZREM', key, session)
    end
  end
end
if tok ~= '' then
  revoke(tok, exp)
end
forget_subscriptions()
redis.call('DEL', cell_key(id)) -- it came from a device that may be this one
if all then
  transition(id, reason)
else
  settle(id, reason, knows_epoch)
end
for i = ahead and first_forgotten or #ARGV + 1, #ARGV do
  redis.call('DEL', ARGV[i])
end
redis.call(PUBLISH, inbox, all and '{"type":"revoked","all":true}'
  or '{"type":"revoked","tok":' .. cjson.encode(tok) .. '}')
return {0}
