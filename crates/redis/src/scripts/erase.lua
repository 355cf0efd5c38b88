-- Puts another message in the place of one that the log of a room keeps. The others keep their ids, and the log has nothing of the old one
-- any more: an entry of a stream that is only deleted stays in the memory of Redis and in its dumps, so the log is written anew.
--
-- KEYS  1 record of the room, 2 log of the room
-- ARGV  1 generation of the engine    2 epoch and 3 offset of the message
--       4 the message in its place    5 seconds for which the log is kept
--
-- Returns how many messages were replaced: 1, or 0 if the log does not have it.

local record = redis.call('HMGET', KEYS[1], 'epoch', 'previous', 'base')
local is_before = record[2] == ARGV[2] and tonumber(ARGV[3]) <= tonumber(record[3] or '0')
if record[1] ~= ARGV[2] and not is_before then
  return 0
end
-- An id is the offset and a second: this range has the one with the offset.
local found = redis.call('XRANGE', KEYS[2], ARGV[3], ARGV[3])
if #found == 0 then
  return 0
end
local entries = redis.call('XRANGE', KEYS[2], '-', '+')
redis.call('DEL', KEYS[2])
for _, entry in ipairs(entries) do
  local message = entry[2][2]
  if entry[1] == found[1][1] then
    message = ARGV[4]
  end
  redis.call('XADD', KEYS[2], entry[1], 'm', message)
end
redis.call('EXPIRE', KEYS[2], ARGV[5])
return 1
