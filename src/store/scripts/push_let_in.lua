-- In front of what a user does. Whether the token is let in: the touch before it may have refused it. (The
-- same as is_refused() of sessions.lua.)
local function is_let_in(prefix, id, tok, iat)
  local known = redis.call('MGET', prefix .. 'presence:revoked:' .. id .. '/' .. tok,
    prefix .. 'presence:revoked:' .. tok, prefix .. 'presence:not_before:' .. id)
  return not (known[1] or known[2] or known[3] and tonumber(iat) < (tonumber(known[3]) or 0))
end

