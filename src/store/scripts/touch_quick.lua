-- The commonest call, in front of all else: a request with a token that has a session, of a user who is
-- online, while nothing is out of the ordinary. The arguments are those of touch.lua's short form.
--
-- Times have whole seconds: if the token was renewed in this very second there is nothing to write, and
-- what is asked here is all that could still matter. (With an online_ttl of less than a minute only a
-- 60th of it is left out, so that nobody ends much too soon.) Else the renewal is here, too: what
-- require_renewal() and renew() do, without the functions that would have to be made first. Whatever is
-- out of the ordinary, or an error, is left to touch.lua, which asks anew. Returns what that returns last.

if #ARGV < 15 then
  local ask, call, may = redis.pcall, redis.call, redis.acl_check_cmd
  local prefix, online_ttl, pause, last_seen_ttl = ARGV[1], ARGV[2] + 0, ARGV[3] + 0, ARGV[4]
  local id, tok, iat = ARGV[6], ARGV[7], ARGV[8]
  local sessions, session = prefix .. 'user:sessions:' .. id, 't:' .. tok
  local online, not_before = prefix .. 'user:online:' .. id, prefix .. 'presence:not_before:' .. id

  local marks = ask('EXISTS', prefix .. 'presence:revoked:' .. id .. '/' .. tok, not_before,
    prefix .. 'presence:hold')
  if marks == 1 and tonumber(iat) >= (tonumber(ask('GET', not_before)) or math.huge) then
    marks = 0 -- a kick, before the token was issued
  end
  local deadline = marks == 0 and ask('SISMEMBER', prefix .. 'online_users', id) == 1
    and ask('ZSCORE', sessions, session)
  if type(deadline) == 'string' then
    local swept = tonumber(ask('GET', prefix .. 'presence:swept'))
    local clock = call('TIME')
    local second, us = clock[1] * 1000, clock[2] + 0
    local now = second + (us - us % 1000) / 1000
    deadline = deadline + 0
    if deadline > now and (swept and now - swept <= pause
      or not swept and ask('EXISTS', prefix .. 'presence:sweeping') == 1) then
      local learned, renewed = swept and 2 or 0, deadline - online_ttl -- 2: SWEPT
      if renewed >= second and renewed >= now - online_ttl / 60 and deadline % 1 == 0
        and ask('EXISTS', online) == 1 then
        return learned
      end
      local due, seen = prefix .. 'presence:deadlines', prefix .. 'user:last_seen:' .. id
      if may('ZADD', sessions, '0', 's') and may('ZADD', due, '0', 'id') and may('SET', seen, 't', 'EX', '1') then
        if #KEYS > 0 then
          call('EXISTS', sessions, due, seen, online) -- see require_keys()
        end
        local latest = string.format('%d', now + online_ttl)
        -- It tells whether the key is there, too, and as the first write its own right.
        local moved = ask('PEXPIREAT', online, latest, 'GT')
        if moved == 1 or moved == 0 and ask('EXISTS', online) == 1 then
          call('ZADD', sessions, latest, session)
          call('SET', seen, time_of(second / 1000), 'EX', last_seen_ttl)
          call('ZADD', due, 'GT', latest, id)
          return learned
        end
      end
    end
  end
end
