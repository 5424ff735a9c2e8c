-- What a friend does that this user may see: for typing.lua and near.lua.

-- Before the first key is read, with the other keys that the script reads: what is elsewhere hides nobody.
local function require_friendship(id, ...)
  if is_sharded then
    require_keys(settings_key(id), prefix .. 'user:blocked:' .. id, prefix .. 'user:blocked_by:' .. id, ...)
  end
end

-- Whether a block of either hides the two from one another; as far as this user's keys say it.
local function is_hidden_from(id, friend)
  local blocks = redis.call('SISMEMBER', prefix .. 'user:blocked:' .. id, friend)
  local is_blocked = redis.call('SISMEMBER', prefix .. 'user:blocked_by:' .. id, friend)
  return blocks + is_blocked > 0
end
