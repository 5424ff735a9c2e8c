-- A second look, after a pause: own arguments are ids of users whose user:online:{id} is gone.
-- Returns for each the STATUS that it would be, of one who is online all the same, else nil. Writes nothing.

-- Of a user whose keys are elsewhere nothing can be said.
local function require_look(id)
  require_keys(online_users, session_key(id), chosen_key(id), idle_key(id), seen_key(id), settings_key(id),
    prefix .. 'presence:version:' .. id, swept_key, hold_key, paused_key)
end

local function look(id)
  if is_sharded then
    require_look(id)
  end
  local state = redis.call('SISMEMBER', online_users, id) == 1 and derive(id)
  return state and state.online and online_status(id, state, integer(read_version(id))) .. '}'
end

local answer = {}
for i = FIRST, #ARGV do
  answer[#answer + 1] = per_user(look, ARGV[i]) or false
end
return answer
