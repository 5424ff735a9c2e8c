-- Logout and kick: ends sessions for good. Own arguments: id, tok ("" = the operator's kick),
-- iat, exp, token_lifetime (s), leeway (s), "1" for every session and token of the user, reason.
-- Returns {verdict}: 0 done, 1 the token was revoked before.

local id, tok = ARGV[FIRST], ARGV[FIRST + 1]
local iat, exp = tonumber(ARGV[FIRST + 2]), tonumber(ARGV[FIRST + 3])
local lifetime, leeway = tonumber(ARGV[FIRST + 4]), tonumber(ARGV[FIRST + 5])
local all, reason = ARGV[FIRST + 6] == '1', ARGV[FIRST + 7]
local seconds = math.floor(now / 1000)
local key = session_key(id)
local inbox = prefix .. 'user:inbox:' .. id

local function revoke(name, expires)
  local ttl = math.max(expires - seconds, lifetime) + leeway
  redis.call('SET', prefix .. 'presence:revoked:' .. name, '1', 'EX', integer(ttl))
end

if tok ~= '' then
  local not_before = tonumber(redis.call('GET', prefix .. 'presence:not_before:' .. id) or 0) or 0
  if redis.call('EXISTS', prefix .. 'presence:revoked:' .. tok) == 1 or iat < not_before then
    return {1}
  end
  revoke(tok, exp)
end

if all then
  redis.call('SET', prefix .. 'presence:not_before:' .. id, integer(seconds), 'EX',
    integer(math.max(lifetime, tonumber(last_seen_ttl))))
  -- iat has whole seconds: tokens of this very second that are in use are named one by one.
  for _, session in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    revoke(session:match('^t:(.*)$') or session:match('^s:(.*):') or session, 0)
  end
  redis.call('DEL', key)
  redis.call('PUBLISH', inbox, '{"type":"revoked","all":true}')
else
  for _, session in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    if session == 't:' .. tok or is_stream_of(session, tok) then
      redis.call('ZREM', key, session)
    end
  end
  redis.call('PUBLISH', inbox, '{"type":"revoked","tok":' .. cjson.encode(tok) .. '}')
end
settle(id, reason)
return {0}
