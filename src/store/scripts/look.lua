-- A second look, after a pause: own arguments are ids of users whose user:online:{id} is gone.
-- Returns for each the STATUS that it would be, of one who is online all the same, else nil. Writes nothing.

local function look(id)
  local state = redis.call('SISMEMBER', online_users, id) == 1 and derive(id)
  return state and state.online and online_status(id, state, integer(read_version(id))) .. '}'
end

local answer = {}
for i = FIRST, #ARGV do
  answer[#answer + 1] = per_user(look, ARGV[i]) or false
end
return answer
