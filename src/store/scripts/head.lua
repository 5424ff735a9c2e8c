-- In front of every script: what a call for which nothing has changed needs already.
--
-- The scripts are the only writers of a user's presence. The first arguments are the settings
-- (common.lua has the rest of them); the script's own start at FIRST.

local prefix = ARGV[1]
local online_ttl = tonumber(ARGV[2]) -- ms
local pause = tonumber(ARGV[3]) -- ms; presence:swept older than that: everything stood still
local FIRST = 15

local clock = redis.call('TIME')
local seconds = tonumber(clock[1])
local now = seconds * 1000 + math.floor(clock[2] / 1000) -- Redis' own clock, ms
