-- What a friend does that this user may see: for typing.lua and near.lua.

-- Whether a block of either hides the two from one another; as far as this user's keys say it.
local function is_hidden_from(id, friend)
  local blocks = redis.call('SISMEMBER', prefix .. 'user:blocked:' .. id, friend)
  local is_blocked = redis.call('SISMEMBER', prefix .. 'user:blocked_by:' .. id, friend)
  return blocks + is_blocked > 0
end
