-- Counters of limits: a number that ends by itself. What somebody else wrote there counts as none.

-- What was counted, and for how many ms it still counts.
local function read_counter(key)
  local count = tonumber(get(key) or 0) or 0
  local left = count >= 1 and redis.call('PTTL', key) or 0
  if left <= 0 then
    return 0, 0
  end
  return count, left
end

local function require_counter_rights(key)
  require_right('SET', key, '1', 'PX', '1')
end

-- Sets it to what read_counter() said and something more or less; `window` (ms) begins with the first.
local function write_counter(key, count, left, window)
  redis.call('SET', key, integer(count), 'PX', integer(left > 0 and left or window))
end
