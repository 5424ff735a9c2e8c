-- In front of what a user does. Whether the token is let in: the touch before it may have refused it. (The
-- same as is_refused() of sessions.lua.)
local function is_let_in(prefix, id, tok, iat)
  local known = redis.call('MGET', prefix .. 'presence:revoked:' .. id .. '/' .. tok,
    prefix .. 'presence:not_before:' .. id)
  return not (known[1] or known[2] and tonumber(iat) < (tonumber(known[2]) or 0))
end

