-- Streams that closed. Own arguments, four for each: id, tok, stream, how many ms ago it closed.
-- The session ends `grace` after that, and with the token's last stream the token's own session too,
-- so that a closed browser is offline in seconds. A deadline is only lowered, nothing is made anew,
-- and a token that was used since the stream closed keeps its time: so it does no harm to say it twice.
-- Of the last streams of a token the first to close may be told of last, by another process: then what
-- counts is whether the token was used since any of them closed.
-- Returns {verdict, verdict, ...}: 0 done, 3 a key of this user has the wrong type.

local DONE, WRONG_TYPE = 0, 3

local function lower(key, session, deadline, ending)
  if not is_closing(deadline) or deadline > ending then
    redis.call('ZADD', key, score(math.min(math.floor(deadline) + CLOSING, ending)), session)
  end
end

local function leave(key, session, deadline)
  if deadline % 1 == 0 then
    redis.call('ZADD', key, score(deadline + LEFT), session)
  end
end

local function close(id, tok, stream, ago)
  local key = session_key(id)
  if is_sharded then
    require_keys(key) -- elsewhere, it would look as if there were nothing to end
  end
  local closed = now - tonumber(ago)
  local of_stream, of_token, has_others
  local sessions = redis.call('ZRANGE', key, 0, -1, 'WITHSCORES')
  for i = 1, #sessions, 2 do
    local session, deadline = sessions[i], tonumber(sessions[i + 1])
    if session == 's:' .. tok .. ':' .. stream then
      of_stream = deadline
    elseif session == 't:' .. tok then
      of_token = deadline
    elseif is_stream_of(session, tok) and not is_closing(deadline) and gone_at(session, deadline) > now then
      has_others = true
    end
  end
  if not of_stream and not of_token then
    return DONE
  end
  require_rights(id)
  if not is_recovering(true) then -- which is asked before the first write
    bring_back(id)
  end
  local ending = closed + grace + CLOSING
  if of_stream then
    lower(key, 's:' .. tok .. ':' .. stream, of_stream, ending)
  end
  if of_token and (of_token - online_ttl <= closed or of_token % 1 ~= 0) then
    if has_others then
      leave(key, 't:' .. tok, of_token)
    else
      lower(key, 't:' .. tok, of_token, ending)
    end
  end
  settle(id, 'stream_closed', true)
  return DONE
end

pauses(true)
local answer = {}
for i = FIRST, #ARGV, 4 do
  answer[#answer + 1] = per_user(close, ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]) or WRONG_TYPE
end
return answer
