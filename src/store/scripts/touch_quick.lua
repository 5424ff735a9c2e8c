-- The commonest call: a request with a token that has a session, of a user who is online, while
-- nothing is out of the ordinary. Times have whole seconds: if the token was renewed in this very
-- second there is nothing to write, and what is asked here is all that could still matter. (With an
-- online_ttl of less than a minute only a 60th of it is left out, so that nobody ends much too soon.)

local quick_known
if #ARGV == FIRST + 9 and ARGV[FIRST] ~= '0' and ARGV[FIRST + 4] == '' and ARGV[FIRST + 5] == '1' then
  local id, tok, iat = ARGV[FIRST + 1], ARGV[FIRST + 2], ARGV[FIRST + 3]
  local session = 't:' .. tok
  quick_known = redis.call('MGET', prefix .. 'presence:revoked:' .. id .. '/' .. tok,
    prefix .. 'presence:revoked:' .. tok, prefix .. 'presence:not_before:' .. id, online_key(id),
    prefix .. 'user:chosen:' .. id, prefix .. 'presence:swept', prefix .. 'presence:hold',
    prefix .. 'presence:sweeping')
  local not_before, swept = quick_known[3], quick_known[6]
  if quick_known[4] and not (quick_known[1] or quick_known[2] or quick_known[7])
    and ARGV[FIRST + 7] == '' and ARGV[FIRST + 9] ~= '1'
    and (not not_before or tonumber(iat) >= (tonumber(not_before) or 0))
    and (swept and now - swept <= pause or not swept and quick_known[8]) then
    local deadline = redis.call('ZSCORE', session_key(id), session)
    quick_known.deadline = deadline
    if deadline and tonumber(deadline) > now and redis.call('SISMEMBER', online_users, id) == 1 then
      if deadline - online_ttl < math.max(seconds * 1000, now - online_ttl / 60) then
        require_renewal(id)
        redis.call('ZADD', session_key(id), integer(now + online_ttl), session)
        renew(id, now + online_ttl)
      end
      return {now, 0, swept and 2 or 0}
    end
  end
end

