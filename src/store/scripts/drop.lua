-- Deletes a String that still has that value. Own arguments: key, value. Returns 1 when it did.

if is_sharded then
  require_keys(ARGV[FIRST])
end
require_right('DEL', ARGV[FIRST])
if redis.call('GET', ARGV[FIRST]) ~= ARGV[FIRST + 1] then
  return 0
end
return redis.call('DEL', ARGV[FIRST])
