-- RFC 3339 of a time in seconds; days to a civil date, counted from 0000-03-01. What is subtracted first
-- makes each division even: a call of math.floor costs more.
local function time_of(second)
  local rest = second % 86400
  local days = (second - rest) / 86400 + 719468
  local doe = days % 146097
  local era = (days - doe) / 146097
  local yoe = doe - (doe - doe % 1460) / 1460 + (doe - doe % 36524) / 36524 - (doe - doe % 146096) / 146096
  yoe = (yoe - yoe % 365) / 365
  local doy = doe - (365 * yoe + (yoe - yoe % 4) / 4 - (yoe - yoe % 100) / 100)
  local mp = (5 * doy + 2 - (5 * doy + 2) % 153) / 153
  local day = doy - (153 * mp + 2 - (153 * mp + 2) % 5) / 5 + 1
  local month = mp < 10 and mp + 3 or mp - 9
  local year = yoe + era * 400 + (month <= 2 and 1 or 0)
  local minutes = (rest - rest % 60) / 60
  return string.format('%04d-%02d-%02dT%02d:%02d:%02dZ', year, month, day, (minutes - minutes % 60) / 60,
    minutes % 60, rest % 60)
end
