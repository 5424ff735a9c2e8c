-- A second look, after a pause: own arguments are ids of users whose user:online:{id} is gone.
-- Returns for each whether the user is online all the same: 1, or 0. Writes nothing.

local function look(id)
  return redis.call('SISMEMBER', online_users, id) == 1 and derive(id).online and 1 or 0
end

local answer = {}
for i = FIRST, #ARGV do
  answer[#answer + 1] = per_user(look, ARGV[i]) or 0
end
return answer
