-- Which epoch this is. Own arguments: a random word, for a Redis that has none; the epoch that the
-- caller knew before, "" for none: if it is another one now, Redis was wiped meanwhile, and until the
-- streams' sessions are registered anew nobody is taken for offline.
-- Returns the epoch.

local key = prefix .. 'presence:epoch'
if is_sharded then
  require_keys(key, recovering_key)
end
require_right('SET', key, '1', 'NX', 'GET')
require_right('SET', recovering_key, '1', 'PX', '1')
local epoch = redis.call('SET', key, ARGV[FIRST], 'NX', 'GET') or ARGV[FIRST]
if ARGV[FIRST + 1] ~= '' and ARGV[FIRST + 1] ~= epoch then
  redis.call('SET', recovering_key, '1', 'PX', recovering_for)
end
return epoch
