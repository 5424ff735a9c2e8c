-- The state that a user chooses. Own arguments: id, tok, iat, the state's JSON without its last brace
-- ("" to be automatic again), for how many ms it holds (0 = no end).
-- It is activity of the token, unless it is to be invisible: nothing shows in between.
-- Returns {verdict, ...}: 0 done, with the user's own STATUS and the JSON of the chosen state or "";
-- 1 the token is revoked; 3 a key of this user has the wrong type; 4 too often, with the ms to wait.

local function choose(id, tok, iat, text, holds)
  local known = ask_known(id, tok)
  if is_refused(known, iat) then
    return {REVOKED}
  end
  require_rights(id)
  require_right('SET', chosen_key(id), 'c')
  require_right('DEL', chosen_key(id))
  local own = text ~= '' and decode(text .. '}') or {}
  local recovers = is_recovering(true)
  local change = ask_change('status', id)
  if change.wait > 0 then
    return {TOO_OFTEN, change.wait}
  end
  bring_back(id)
  count_change(change)
  if own.status ~= 'invisible' then
    raise(id, 't:' .. tok, now + online_ttl)
    write_seen(id)
  end
  if text == '' and recovers then
    -- A presence-streamd that has not heard of it may still hand in what was chosen before.
    redis.call('SET', chosen_key(id), '{}', 'PX', integer(10 * recovering_for))
  elseif text == '' then
    redis.call('DEL', chosen_key(id))
  elseif holds > 0 then
    local ends = integer(now + holds)
    redis.call('SET', chosen_key(id), text .. ',"ends":' .. ends .. '}', 'PXAT', ends)
  else
    redis.call('SET', chosen_key(id), text .. '}')
  end
  local state, is_told = transition(id, 'status')
  if not is_told then
    tell_self(id, state)
  end
  return {DONE, own_status(id, state) .. '}', state.chosen or ''}
end

pauses(true)
return per_user(choose, ARGV[FIRST], ARGV[FIRST + 1], ARGV[FIRST + 2], ARGV[FIRST + 3],
  tonumber(ARGV[FIRST + 4])) or {WRONG_TYPE}
