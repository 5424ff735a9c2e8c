-- Streams that closed. Own arguments, three for each: id, tok, stream.
-- The session is lowered to now + grace, never raised and never made anew; with the token's last
-- stream goes the token's own session, so that a closed browser is offline in seconds.

local closing = now + grace + 0.5

local function close(id, tok, stream)
  local key = session_key(id)
  redis.call('ZADD', key, 'XX', 'LT', score(closing), 's:' .. tok .. ':' .. stream)
  local sessions = redis.call('ZRANGEBYSCORE', key, '(' .. integer(now), '+inf', 'WITHSCORES')
  for i = 1, #sessions, 2 do
    if is_stream_of(sessions[i], tok) and not is_closing(tonumber(sessions[i + 1])) then
      return
    end
  end
  redis.call('ZADD', key, 'XX', 'LT', score(closing), 't:' .. tok)
  settle(id, 'stream_closed')
end

for i = FIRST, #ARGV, 3 do
  guarded(close, ARGV[i], ARGV[i + 1], ARGV[i + 2])
end
return #ARGV - FIRST + 1
