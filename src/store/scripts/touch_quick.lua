-- The commonest call: a request with a token that was renewed in this very second. Times have whole
-- seconds, so there is nothing to write; what is asked here is all that could still matter. With an
-- online_ttl of less than a minute only a 60th of it is left out, so that nobody ends much too soon.

local quick_known
if #ARGV == FIRST + 6 and ARGV[FIRST] == '1' and ARGV[FIRST + 4] == '' then
  local id, tok = ARGV[FIRST + 1], ARGV[FIRST + 2]
  quick_known = redis.call('MGET', prefix .. 'presence:revoked:' .. id .. '/' .. tok,
    prefix .. 'presence:revoked:' .. tok, prefix .. 'presence:not_before:' .. id,
    prefix .. 'user:online:' .. id, prefix .. 'presence:swept', prefix .. 'presence:hold',
    prefix .. 'presence:sweeping')
  local swept = quick_known[5]
  if quick_known[4] and not (quick_known[1] or quick_known[2] or quick_known[6])
    and (not quick_known[3] or tonumber(ARGV[FIRST + 3]) >= (tonumber(quick_known[3]) or 0))
    and (swept and now - swept <= pause or not swept and quick_known[7]) then
    local deadline = redis.call('ZSCORE', prefix .. 'user:sessions:' .. id, 't:' .. tok)
    if deadline and deadline - online_ttl >= math.max(seconds * 1000, now - online_ttl / 60)
      and redis.call('SISMEMBER', prefix .. 'online_users', id) == 1 then
      return {now, 0, 0}
    end
  end
end
